/* Packets and the kernel's upcalls, received in batches. */
#include "receive.h"

#include <errno.h>
#include <string.h>

#define LIMIT_MAX 65536

/* An IPv4 packet has its header, and with it its source; of an IPv6 packet the kernel has to tell. */
static void prepare(struct batch *batch, int family, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        struct msghdr *header = &batch->headers[i].msg_hdr;

        batch->vectors[i].iov_base = batch->slots[i];
        batch->vectors[i].iov_len = SLOT;
        memset(&batch->headers[i], 0, sizeof batch->headers[i]);
        if (family == AF_INET6) {
            header->msg_name = &batch->names[i];
            header->msg_namelen = sizeof batch->names[i];
        }
        header->msg_iov = &batch->vectors[i];
        header->msg_iovlen = 1;
        header->msg_control = batch->controls[i].bytes;
        header->msg_controllen = CONTROL;
    }
}

static uint32_t ifindex4(struct msghdr *header)
{
    struct cmsghdr *control;

    for (control = CMSG_FIRSTHDR(header); control != NULL; control = CMSG_NXTHDR(header, control)) {
        struct in_pktinfo info;

        if (control->cmsg_level != IPPROTO_IP || control->cmsg_type != IP_PKTINFO ||
            control->cmsg_len < CMSG_LEN(sizeof info))
            continue;
        memcpy(&info, CMSG_DATA(control), sizeof info);
        return info.ipi_ifindex > 0 ? (uint32_t)info.ipi_ifindex : 0;
    }
    return 0;
}

static void told6(struct msghdr *header, struct ancillary *told, struct in6_pktinfo *info)
{
    struct cmsghdr *control;

    for (control = CMSG_FIRSTHDR(header); control != NULL; control = CMSG_NXTHDR(header, control)) {
        size_t length = control->cmsg_len < CMSG_LEN(0) ? 0 : control->cmsg_len - CMSG_LEN(0);

        if (control->cmsg_level != IPPROTO_IPV6)
            continue;
        if (control->cmsg_type == IPV6_PKTINFO && length >= sizeof *info) {
            memcpy(info, CMSG_DATA(control), sizeof *info);
            told->ifindex = info->ipi6_ifindex;
            told->destination = info->ipi6_addr.s6_addr;
        } else if (control->cmsg_type == IPV6_HOPLIMIT && length >= sizeof(int)) {
            memcpy(&told->hop_limit, CMSG_DATA(control), sizeof(int));
        } else if (control->cmsg_type == IPV6_HOPOPTS) {
            told->hop_options = CMSG_DATA(control);
            told->hop_options_length = length;
        }
    }
}

int receive_batch(struct batch *batch, int fd, int family, unsigned wanted)
{
    prepare(batch, family, wanted);
    return recvmmsg(fd, batch->headers, wanted, MSG_DONTWAIT, NULL);
}

int decode_slot(struct batch *batch, unsigned i, int family, int protocol, struct message *message, struct in6_pktinfo *info)
{
    struct msghdr *header = &batch->headers[i].msg_hdr;
    const struct sockaddr_in6 *name = &batch->names[i];
    struct ancillary told = {0};

    if (header->msg_flags & MSG_TRUNC)
        return SLOT_TRUNCATED;
    if (header->msg_flags & MSG_CTRUNC)
        return SLOT_MALFORMED;
    if (family == AF_INET)
        return decode4(batch->slots[i], batch->headers[i].msg_len, protocol, ifindex4(header), message);
    told.hop_limit = -1;
    told6(header, &told, info);
    if (header->msg_namelen >= sizeof *name && name->sin6_family == AF_INET6)
        told.source = name->sin6_addr.s6_addr;
    return decode6(batch->slots[i], batch->headers[i].msg_len, protocol, &told, message);
}

/* Append what was received to `list`: 0, or -1 with an exception set. */
static int take(struct batch *batch, unsigned count, int family, int protocol, PyObject *list, long *truncated, long *malformed)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        struct message message;
        struct in6_pktinfo info;
        PyObject *tuple;
        int result;

        result = decode_slot(batch, i, family, protocol, &message, &info);
        if (result != SLOT_GOOD) {
            ++*(result == SLOT_TRUNCATED ? truncated : malformed);
            continue;
        }
        tuple = message_tuple(&message, family);
        if (tuple == NULL)
            return -1;
        result = PyList_Append(list, tuple);
        Py_DECREF(tuple);
        if (result < 0)
            return -1;
    }
    return 0;
}

/* Until `limit` messages are there or none is left: 0, or -1 with an exception set. */
static int receive(int fd, int family, int protocol, long limit, PyObject *list, long *truncated, long *malformed)
{
    struct batch *batch = PyMem_Malloc(sizeof *batch);
    int result = -1;

    if (batch == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    while (limit > 0) {
        unsigned wanted = limit < BATCH ? (unsigned)limit : BATCH;
        int count;

        Py_BEGIN_ALLOW_THREADS
        count = receive_batch(batch, fd, family, wanted);
        Py_END_ALLOW_THREADS
        if (count < 0) {
            if (errno == EAGAIN || errno == EINTR)
                result = PyErr_CheckSignals();
            else
                PyErr_SetFromErrno(PyExc_OSError);
            goto out;
        }
        if (take(batch, (unsigned)count, family, protocol, list, truncated, malformed) < 0)
            goto out;
        limit -= count;
        if ((unsigned)count < wanted)
            break;
    }
    result = 0;
out:
    PyMem_Free(batch);
    return result;
}

PyObject *mroute_receive(PyObject *self, PyObject *args)
{
    PyObject *fd_object, *family_object, *protocol_object, *limit_object, *list;
    long long protocol, limit;
    long truncated = 0, malformed = 0;
    int fd, family;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOOO:receive", &fd_object, &family_object, &protocol_object, &limit_object))
        return NULL;
    if (to_descriptor(fd_object, &fd) < 0 || to_family(family_object, &family) < 0 ||
        to_number(protocol_object, "protocol", 1, 255, &protocol) < 0 ||
        to_number(limit_object, "limit", 1, LIMIT_MAX, &limit) < 0)
        return NULL;
    list = PyList_New(0);
    if (list == NULL)
        return NULL;
    if (receive(fd, family, (int)protocol, (long)limit, list, &truncated, &malformed) < 0) {
        Py_DECREF(list);
        return NULL;
    }
    return Py_BuildValue("(Nll)", list, truncated, malformed);
}
