/* Packets, sent in batches, each from its own address by its own interface. */
#include "mroute.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define BATCH 64
#define DATA_MAX 65535

struct batch {
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];
    union {
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } names[BATCH];
    union {
        unsigned char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } controls[BATCH];
};

static int to_packet(PyObject *item, int family, struct packet *packet)
{
    Py_ssize_t size = (Py_ssize_t)address_size(family), length;
    long long ifindex, ttl = 0;
    PyObject *data;
    char *bytes;

    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a packet must be a tuple");
        return -1;
    }
    if (PyTuple_Size(item) != 4 && PyTuple_Size(item) != 5) {
        PyErr_Format(PyExc_ValueError, "a packet must have 4 or 5 fields, not %zd", PyTuple_Size(item));
        return -1;
    }
    data = PyTuple_GetItem(item, 3);
    if (to_number(PyTuple_GetItem(item, 0), "ifindex", 0, INT32_MAX, &ifindex) < 0 ||
        to_bytes(PyTuple_GetItem(item, 1), "source", size, &packet->source) < 0 ||
        to_bytes(PyTuple_GetItem(item, 2), "destination", size, &packet->destination) < 0 ||
        (PyTuple_Size(item) == 5 && to_number(PyTuple_GetItem(item, 4), "ttl", 0, 255, &ttl) < 0))
        return -1;
    if (!PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "data must be bytes");
        return -1;
    }
    if (PyBytes_AsStringAndSize(data, &bytes, &length) < 0)
        return -1;
    if (length > DATA_MAX) {
        PyErr_Format(PyExc_ValueError, "data must have at most %d bytes", DATA_MAX);
        return -1;
    }
    packet->ifindex = (uint32_t)ifindex;
    packet->ttl = (int)ttl;
    packet->data = (const unsigned char *)bytes;
    packet->length = (size_t)length;
    return 0;
}

static void address4(struct msghdr *header, const struct packet *packet)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    struct sockaddr_in *name = header->msg_name;
    struct in_pktinfo info;

    memset(&info, 0, sizeof info);
    info.ipi_ifindex = (int)packet->ifindex;
    memcpy(&info.ipi_spec_dst, packet->source, 4);
    control->cmsg_level = IPPROTO_IP;
    control->cmsg_type = IP_PKTINFO;
    control->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(control), &info, sizeof info);
    header->msg_controllen = CMSG_SPACE(sizeof info);
    header->msg_namelen = sizeof *name;
    name->sin_family = AF_INET;
    memcpy(&name->sin_addr, packet->destination, 4);
}

static int needs_scope(const unsigned char *address)
{
    int link_local = address[0] == 0xfe && (address[1] & 0xc0) == 0x80;

    return link_local || (address[0] == 0xff && (address[1] & 0x0f) <= 2);
}

static void address6(struct msghdr *header, const struct packet *packet)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(header);
    struct sockaddr_in6 *name = header->msg_name;
    struct in6_pktinfo info;

    memset(&info, 0, sizeof info);
    info.ipi6_ifindex = packet->ifindex;
    memcpy(&info.ipi6_addr, packet->source, 16);
    control->cmsg_level = IPPROTO_IPV6;
    control->cmsg_type = IPV6_PKTINFO;
    control->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(control), &info, sizeof info);
    header->msg_controllen = CMSG_SPACE(sizeof info);
    header->msg_namelen = sizeof *name;
    name->sin6_family = AF_INET6;
    memcpy(&name->sin6_addr, packet->destination, 16);
    if (needs_scope(packet->destination))
        name->sin6_scope_id = packet->ifindex;
}

void add_number(struct msghdr *header, int level, int type, int value)
{
    size_t at = header->msg_controllen;
    struct cmsghdr *control = (struct cmsghdr *)(void *)((unsigned char *)header->msg_control + at);

    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(control), &value, sizeof value);
    header->msg_controllen = at + CMSG_SPACE(sizeof value);
}

void address_packet(struct msghdr *header, int family, const struct packet *packet)
{
    (family == AF_INET ? address4 : address6)(header, packet);
}

static void prepare(struct batch *batch, int family, const struct packet *packets, unsigned count)
{
    unsigned i;

    memset(batch, 0, sizeof *batch);
    for (i = 0; i < count; i++) {
        struct msghdr *header = &batch->headers[i].msg_hdr;

        batch->vectors[i].iov_base = (void *)(uintptr_t)packets[i].data;
        batch->vectors[i].iov_len = packets[i].length;
        header->msg_name = &batch->names[i];
        header->msg_iov = &batch->vectors[i];
        header->msg_iovlen = 1;
        header->msg_control = batch->controls[i].bytes;
        header->msg_controllen = sizeof batch->controls[i].bytes;
        address_packet(header, family, &packets[i]);
        if (packets[i].ttl)
            add_number(header, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, family == AF_INET ? IP_TTL : IPV6_HOPLIMIT,
                       packets[i].ttl);
    }
}

/* sendmmsg() stops at the first packet that fails, and tells why only if that is the first of the call. */
static void send_batch(int fd, struct batch *batch, struct packet *packets, unsigned count)
{
    unsigned i = 0;

    while (i < count) {
        int sent = sendmmsg(fd, batch->headers + i, count - i, MSG_DONTWAIT);

        if (sent > 0)
            i += (unsigned)sent;
        else if (sent == 0 || errno != EINTR)
            packets[i++].error = sent == 0 ? EIO : errno;
    }
}

static void send_all(int fd, int family, struct packet *packets, Py_ssize_t count, struct batch *batch)
{
    Py_ssize_t i;

    for (i = 0; i < count; i += BATCH) {
        unsigned part = count - i < BATCH ? (unsigned)(count - i) : BATCH;

        prepare(batch, family, packets + i, part);
        send_batch(fd, batch, packets + i, part);
    }
}

static PyObject *errors_of(const struct packet *packets, Py_ssize_t count)
{
    PyObject *result = PyList_New(count);
    Py_ssize_t i;

    for (i = 0; result != NULL && i < count; i++) {
        PyObject *error = PyLong_FromLong(packets[i].error);

        if (error == NULL || PyList_SetItem(result, i, error) < 0)
            Py_CLEAR(result);
    }
    return result;
}

/* All packets are checked before the first is sent. */
PyObject *mroute_send(PyObject *self, PyObject *args)
{
    PyObject *fd_object, *family_object, *list, *items, *result = NULL;
    struct packet *packets;
    struct batch *batch;
    Py_ssize_t count, i;
    int fd, family;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOO:send", &fd_object, &family_object, &list))
        return NULL;
    if (to_descriptor(fd_object, &fd) < 0 || to_family(family_object, &family) < 0 || to_list(list, "packets", &items) < 0)
        return NULL;
    count = PyTuple_Size(items);
    packets = PyMem_Calloc(count > 0 ? (size_t)count : 1, sizeof *packets);
    batch = PyMem_Malloc(sizeof *batch);
    if (packets == NULL || batch == NULL) {
        PyErr_NoMemory();
        goto out;
    }
    for (i = 0; i < count; i++)
        if (to_packet(PyTuple_GetItem(items, i), family, &packets[i]) < 0)
            goto out;
    Py_BEGIN_ALLOW_THREADS
    send_all(fd, family, packets, count, batch);
    Py_END_ALLOW_THREADS
    result = errors_of(packets, count);
out:
    PyMem_Free(batch);
    PyMem_Free(packets);
    Py_DECREF(items);
    return result;
}
