/* The whole forwarding cache with its counters, by a netlink dump. */
#include "mroute.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#ifndef RTNL_FAMILY_IP6MR
#define RTNL_FAMILY_IP6MR 129
#endif

#define BUFFER 65536 /* the kernel fills at most 32 KiB at a time */
#define WAIT 5000    /* ms: the kernel answers at once, or something is wrong */
#define TRIES 8      /* of a dump that changes keep interrupting */

struct entry {
    const unsigned char *source;
    const unsigned char *group;
    long iif; /* ifindex; 0 gone, -1 unresolved */
    int oifs;
    uint32_t oif[VIFS];
    uint64_t packets, bytes, wrong_if;
    uint64_t idle; /* hundredths of a second since the last packet */
    uint32_t table;
};

/* Take one entry: 0, or -1 with an exception set. */
typedef int take_entry(PyObject *into, const struct entry *entry, int family);

static uint32_t read32(const unsigned char *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t read64(const unsigned char *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

/* RTA_MULTIPATH: a row of struct rtnexthop, each with its own length. 0, or -1 if malformed. */
static int read_oifs(const unsigned char *at, size_t length, struct entry *entry)
{
    while (length > 0) {
        struct rtnexthop hop;
        size_t step;

        if (length < sizeof hop || entry->oifs == VIFS)
            return -1;
        memcpy(&hop, at, sizeof hop);
        if (hop.rtnh_len < sizeof hop || hop.rtnh_len > length)
            return -1;
        entry->oif[entry->oifs++] = (uint32_t)hop.rtnh_ifindex;
        step = RTNH_ALIGN(hop.rtnh_len);
        if (step > length)
            step = length;
        at += step;
        length -= step;
    }
    return 0;
}

static int read_attribute(int type, const unsigned char *at, size_t length, size_t size, struct entry *entry)
{
    switch (type) {
    case RTA_SRC:
        entry->source = at;
        return length == size ? 0 : -1;
    case RTA_DST:
        entry->group = at;
        return length == size ? 0 : -1;
    case RTA_IIF:
        if (length != 4)
            return -1;
        entry->iif = (long)read32(at);
        return 0;
    case RTA_TABLE:
        if (length != 4)
            return -1;
        entry->table = read32(at);
        return 0;
    case RTA_MULTIPATH:
        return read_oifs(at, length, entry);
    case RTA_MFC_STATS:
        if (length < 24)
            return -1;
        entry->packets = read64(at);
        entry->bytes = read64(at + 8);
        entry->wrong_if = read64(at + 16);
        return 0;
    case RTA_EXPIRES:
        if (length != 8)
            return -1;
        entry->idle = read64(at);
        return 0;
    default:
        return 0;
    }
}

/* One RTM_NEWROUTE behind its netlink header: 0, or -1 if malformed. */
static int read_entry(const unsigned char *at, size_t length, int family, struct entry *entry)
{
    struct rtmsg header;

    memset(entry, 0, sizeof *entry);
    if (length < sizeof header)
        return -1;
    memcpy(&header, at, sizeof header);
    if (header.rtm_family != (family == AF_INET ? RTNL_FAMILY_IPMR : RTNL_FAMILY_IP6MR))
        return -1;
    entry->table = header.rtm_table;
    at += sizeof header;
    length -= sizeof header;
    while (length >= sizeof(struct rtattr)) {
        struct rtattr attribute;
        size_t step;

        memcpy(&attribute, at, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > length)
            return -1;
        if (read_attribute(attribute.rta_type & NLA_TYPE_MASK, at + sizeof attribute, attribute.rta_len - sizeof attribute,
                           address_size(family), entry) < 0)
            return -1;
        step = RTA_ALIGN(attribute.rta_len);
        if (step > length)
            step = length;
        at += step;
        length -= step;
    }
    if (header.rtm_flags & RTNH_F_UNRESOLVED)
        entry->iif = -1;
    return entry->source == NULL || entry->group == NULL ? -1 : 0;
}

static int append_entry(PyObject *list, const struct entry *entry, int family)
{
    Py_ssize_t size = (Py_ssize_t)address_size(family);
    PyObject *oifs = PyTuple_New(entry->oifs), *row;
    int i, result;

    for (i = 0; oifs != NULL && i < entry->oifs; i++) {
        PyObject *oif = PyLong_FromUnsignedLong(entry->oif[i]);

        if (oif == NULL || PyTuple_SetItem(oifs, i, oif) < 0)
            Py_CLEAR(oifs);
    }
    if (oifs == NULL)
        return -1;
    row = Py_BuildValue("(y#y#lNKKK)", (const char *)entry->source, size, (const char *)entry->group, size, entry->iif, oifs,
                        (unsigned long long)entry->packets, (unsigned long long)entry->bytes,
                        (unsigned long long)entry->wrong_if);
    if (row == NULL)
        return -1;
    result = PyList_Append(list, row);
    Py_DECREF(row);
    return result;
}

static int count_entry(PyObject *counters, const struct entry *entry, int family)
{
    Py_ssize_t size = (Py_ssize_t)address_size(family);
    PyObject *key, *value = NULL;
    int result = -1;

    if (entry->iif < 0)
        return 0;
    key = Py_BuildValue("(y#y#)", (const char *)entry->source, size, (const char *)entry->group, size);
    if (key != NULL)
        value = Py_BuildValue("(KKKK)", (unsigned long long)entry->packets, (unsigned long long)entry->bytes,
                              (unsigned long long)entry->wrong_if, (unsigned long long)entry->idle);
    if (value != NULL)
        result = PyObject_SetItem(counters, key, value);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return result;
}

struct reading {
    int family;
    uint32_t table;    /* 0: any */
    uint32_t sequence; /* 0: any */
    int done;
    int interrupted;
    take_entry *take;
    PyObject *into;
};

static int fail(int error)
{
    errno = error;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* NLMSG_ERROR and NLMSG_DONE begin with a negative errno, or 0. */
static int read_end(const unsigned char *at, size_t length, struct reading *reading)
{
    int32_t error = 0;

    if (length >= sizeof error)
        memcpy(&error, at, sizeof error);
    if (error < 0 && error > -4096)
        return fail(-error);
    reading->done = 1;
    return 0;
}

/* One datagram of a dump: 0, or -1 with an exception set. */
static int read_datagram(const unsigned char *at, size_t length, struct reading *reading)
{
    while (length >= sizeof(struct nlmsghdr) && !reading->done) {
        struct nlmsghdr header;
        struct entry entry;
        size_t step, body;

        memcpy(&header, at, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > length)
            return fail(EBADMSG);
        body = header.nlmsg_len - sizeof header;
        if (reading->sequence == 0 || header.nlmsg_seq == reading->sequence) {
            if (header.nlmsg_flags & NLM_F_DUMP_INTR)
                reading->interrupted = 1;
            if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
                if (read_end(at + sizeof header, body, reading) < 0)
                    return -1;
            } else if (header.nlmsg_type == RTM_NEWROUTE) {
                if (read_entry(at + sizeof header, body, reading->family, &entry) < 0)
                    return fail(EBADMSG);
                if ((reading->table == 0 || entry.table == reading->table) &&
                    reading->take(reading->into, &entry, reading->family) < 0)
                    return -1;
            }
        }
        step = NLMSG_ALIGN(header.nlmsg_len);
        if (step > length)
            step = length;
        at += step;
        length -= step;
    }
    return 0;
}

static int request(int fd, const struct reading *reading)
{
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
        struct rtattr attribute;
        uint32_t table;
    } message;
    ssize_t sent;

    memset(&message, 0, sizeof message);
    message.header.nlmsg_len = reading->table != 0 ? sizeof message : offsetof(__typeof__(message), attribute);
    message.header.nlmsg_type = RTM_GETROUTE;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.header.nlmsg_seq = reading->sequence;
    message.route.rtm_family = reading->family == AF_INET ? RTNL_FAMILY_IPMR : RTNL_FAMILY_IP6MR;
    message.attribute.rta_len = sizeof message.attribute + sizeof message.table;
    message.attribute.rta_type = RTA_TABLE; /* heeded only where the socket asked for strict checking */
    message.table = reading->table;
    sent = send(fd, &message, message.header.nlmsg_len, 0);
    return sent < 0 ? fail(errno) : 0;
}

/* Receive one datagram of the kernel's: its length, or -1 with an exception set. */
static ssize_t receive_datagram(int fd, unsigned char *buffer)
{
    struct sockaddr_nl sender;
    struct iovec vector = {buffer, BUFFER};
    struct msghdr message;
    struct pollfd poller = {fd, POLLIN, 0};
    ssize_t length;
    int ready;

    for (;;) {
        memset(&message, 0, sizeof message);
        memset(&sender, 0, sizeof sender);
        message.msg_name = &sender;
        message.msg_namelen = sizeof sender;
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        Py_BEGIN_ALLOW_THREADS
        ready = poll(&poller, 1, WAIT);
        length = ready > 0 ? recvmsg(fd, &message, MSG_DONTWAIT) : -1;
        Py_END_ALLOW_THREADS
        if (ready == 0)
            return fail(ETIMEDOUT);
        if (length < 0) {
            if (errno != EINTR && errno != EAGAIN)
                return fail(errno);
            if (PyErr_CheckSignals() < 0)
                return -1;
            continue;
        }
        if (message.msg_flags & MSG_TRUNC)
            return fail(EMSGSIZE);
        if (message.msg_namelen == sizeof sender && sender.nl_pid == 0)
            return length; /* others than the kernel are not heard */
    }
}

/* What an earlier dump that failed half-way left behind would make the next one EBUSY. */
static void drain(int fd, unsigned char *buffer)
{
    int i;

    for (i = 0; i < 65536 && recv(fd, buffer, BUFFER, MSG_DONTWAIT) >= 0; i++)
        ;
}

static uint32_t next_sequence(void)
{
    static uint32_t last; /* the GIL guards it */

    return ++last == 0 ? ++last : last;
}

static int dump_once(int fd, struct reading *reading, unsigned char *buffer)
{
    reading->done = reading->interrupted = 0;
    reading->sequence = next_sequence();
    drain(fd, buffer);
    if (request(fd, reading) < 0)
        return -1;
    while (!reading->done) {
        ssize_t length = receive_datagram(fd, buffer);

        if (length < 0 || read_datagram(buffer, (size_t)length, reading) < 0)
            return -1;
    }
    return 0;
}

static PyObject *new_list(void) { return PyList_New(0); }

static PyObject *dump(PyObject *args, const char *format, take_entry *take, PyObject *(*create)(void))
{
    PyObject *fd_object, *family_object, *table_object;
    struct reading reading = {0};
    unsigned char *buffer;
    long long table;
    int fd, tries;

    if (!PyArg_ParseTuple(args, format, &fd_object, &family_object, &table_object))
        return NULL;
    if (to_descriptor(fd_object, &fd) < 0 || to_family(family_object, &reading.family) < 0 ||
        to_number(table_object, "table", 0, UINT32_MAX, &table) < 0)
        return NULL;
    buffer = PyMem_Malloc(BUFFER);
    if (buffer == NULL)
        return PyErr_NoMemory();
    reading.table = (uint32_t)table;
    reading.take = take;
    for (tries = 0; tries < TRIES; tries++) {
        reading.into = create();
        if (reading.into == NULL || dump_once(fd, &reading, buffer) < 0) {
            Py_CLEAR(reading.into);
            break;
        }
        if (!reading.interrupted)
            break;
        Py_CLEAR(reading.into);
        if (tries == TRIES - 1)
            fail(EAGAIN);
    }
    PyMem_Free(buffer);
    return reading.into;
}

PyObject *mroute_dump_mfc(PyObject *self, PyObject *args)
{
    (void)self;
    return dump(args, "OOO:dump_mfc", append_entry, new_list);
}

PyObject *mroute_count_mfc(PyObject *self, PyObject *args)
{
    (void)self;
    return dump(args, "OOO:count_mfc", count_entry, PyDict_New);
}

PyObject *mroute_decode_mfc(PyObject *self, PyObject *args)
{
    PyObject *family_object, *table_object, *data;
    struct reading reading = {0};
    unsigned char *copy;
    char *bytes;
    Py_ssize_t length;
    long long table;
    int result;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOO:decode_mfc", &family_object, &table_object, &data))
        return NULL;
    if (to_family(family_object, &reading.family) < 0 || to_number(table_object, "table", 0, UINT32_MAX, &table) < 0)
        return NULL;
    if (!PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "data must be bytes");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(data, &bytes, &length) < 0)
        return NULL;
    reading.table = (uint32_t)table;
    reading.take = append_entry;
    reading.into = PyList_New(0);
    copy = malloc(length > 0 ? (size_t)length : 1); /* of exactly that size: sanitizers see a step beyond it */
    if (reading.into == NULL || copy == NULL) {
        free(copy);
        Py_XDECREF(reading.into);
        return PyErr_NoMemory();
    }
    memcpy(copy, bytes, (size_t)length);
    result = read_datagram(copy, (size_t)length, &reading);
    free(copy);
    if (result < 0) {
        Py_DECREF(reading.into);
        return NULL;
    }
    return Py_BuildValue("(NOO)", reading.into, reading.done ? Py_True : Py_False, reading.interrupted ? Py_True : Py_False);
}
