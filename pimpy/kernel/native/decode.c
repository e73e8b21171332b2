/* What a received datagram is: every length in it is checked against what was received. */
#include "mroute.h"

#include <stdlib.h>
#include <string.h>

#define ALERT4 148 /* RFC 2113 */
#define ALERT6 5   /* RFC 2711 */

static unsigned read_be16(const unsigned char *at) { return (unsigned)at[0] << 8 | at[1]; }

/* RFC 791 3.1: type, length, value; 0 ends, 1 stands alone. */
static int has_alert4(const unsigned char *at, size_t length)
{
    while (length > 0 && at[0] != 0) {
        size_t step = 1;

        if (at[0] != 1) {
            if (length < 2 || at[1] < 2 || at[1] > length)
                return 0;
            if (at[0] == ALERT4 && at[1] == 4)
                return 1;
            step = at[1];
        }
        at += step;
        length -= step;
    }
    return 0;
}

/* A Hop-by-Hop header: next header, length in units of 8 less one, then type, length, value; 0 stands alone. */
static int has_alert6(const unsigned char *at, size_t length)
{
    size_t size;

    if (length < 8)
        return 0;
    size = ((size_t)at[1] + 1) * 8;
    if (size < length)
        length = size;
    at += 2;
    length -= 2;
    while (length > 0) {
        size_t step = 1;

        if (at[0] != 0) {
            if (length < 2 || (size_t)at[1] + 2 > length)
                return 0;
            if (at[0] == ALERT6 && at[1] == 2 && at[2] == 0 && at[3] == 0)
                return 1;
            step = (size_t)at[1] + 2;
        }
        at += step;
        length -= step;
    }
    return 0;
}

/* An IPv4 packet that begins here: its length by its own header, 0 if it is malformed or longer than what is there. */
static size_t packet4(const unsigned char *at, size_t length)
{
    size_t header, total;

    if (length < IP4_HEADER || at[0] >> 4 != 4)
        return 0;
    header = (size_t)(at[0] & 15) * 4;
    total = read_be16(at + 2);
    return header >= IP4_HEADER && total >= header && total <= length ? total : 0;
}

static size_t packet6(const unsigned char *at, size_t length)
{
    size_t total;

    if (length < IP6_HEADER || at[0] >> 4 != 6)
        return 0;
    total = IP6_HEADER + read_be16(at + 4);
    return total <= length ? total : 0;
}

size_t sound_packet(int family, const unsigned char *at, size_t length)
{
    return (family == AF_INET ? packet4 : packet6)(at, length);
}

static int is_whole(int type) { return type == UPCALL_WHOLEPKT || type == UPCALL_WRVIFWHOLE; }

/* struct igmpmsg lies over an IPv4 header: type at the TTL, 0 at the protocol, vif at the checksum. */
static int upcall4(const unsigned char *bytes, size_t length, struct message *message)
{
    int type = bytes[8];

    if (type < UPCALL_NOCACHE || type > UPCALL_WRVIFWHOLE || bytes[10] >= VIFS)
        return 0;
    message->kind = UPCALL + type;
    message->index = bytes[10]; /* the byte behind it is no part of the number before Linux 5.9, and 0 with 32 vifs */
    message->source = bytes + 12;
    message->destination = bytes + 16;
    message->data = bytes + IP4_HEADER;
    if (is_whole(type)) {
        message->length = packet4(message->data, length - IP4_HEADER);
        if (message->length == 0 || memcmp(message->source, message->data + 12, 8) != 0)
            return 0;
        message->ttl = message->data[8];
    }
    return 1;
}

int decode4(const unsigned char *bytes, size_t length, int protocol, uint32_t ifindex, struct message *message)
{
    size_t header;

    memset(message, 0, sizeof *message);
    if (length < IP4_HEADER || bytes[0] >> 4 != 4)
        return 0;
    /* No IGMP packet has 0 here: only the kernel itself writes it. */
    if (protocol == KIND_IGMP && bytes[9] == 0)
        return upcall4(bytes, length, message);
    length = packet4(bytes, length);
    if (length == 0 || bytes[9] != protocol || ifindex == 0)
        return 0;
    header = (size_t)(bytes[0] & 15) * 4;
    message->kind = protocol;
    message->index = ifindex;
    message->source = bytes + 12;
    message->destination = bytes + 16;
    message->ttl = bytes[8];
    message->router_alert = has_alert4(bytes + IP4_HEADER, header - IP4_HEADER);
    message->data = bytes + header;
    message->length = length - header;
    return 1;
}

/* struct mrt6msg: 0, type, mif in the host's order, padding, source, destination; then the packet. */
static int upcall6(const unsigned char *bytes, size_t length, struct message *message)
{
    uint16_t mif;
    int type;

    if (length < UPCALL6)
        return 0;
    type = bytes[1];
    memcpy(&mif, bytes + 2, sizeof mif);
    if (type < UPCALL_NOCACHE || type > UPCALL_WRVIFWHOLE || mif >= VIFS)
        return 0;
    message->kind = UPCALL + type;
    message->index = mif;
    message->source = bytes + 8;
    message->destination = bytes + 24;
    message->data = bytes + UPCALL6;
    if (is_whole(type)) {
        message->length = packet6(message->data, length - UPCALL6);
        if (message->length == 0 || memcmp(message->source, message->data + 8, 32) != 0)
            return 0;
        message->ttl = message->data[7];
    }
    return 1;
}

int decode6(const unsigned char *bytes, size_t length, int protocol, const struct ancillary *told, struct message *message)
{
    memset(message, 0, sizeof *message);
    /* ICMPv6 type 0 is reserved and the socket's filter blocks it: only the kernel itself writes it. */
    if (protocol == KIND_MLD && length > 0 && bytes[0] == 0)
        return upcall6(bytes, length, message);
    if (told->ifindex == 0 || told->hop_limit < 0 || told->source == NULL || told->destination == NULL)
        return 0;
    message->kind = protocol;
    message->index = told->ifindex;
    message->source = told->source;
    message->destination = told->destination;
    message->ttl = told->hop_limit;
    message->router_alert = told->hop_options != NULL && has_alert6(told->hop_options, told->hop_options_length);
    message->data = bytes;
    message->length = length;
    return 1;
}

PyObject *message_tuple(const struct message *message, int family)
{
    Py_ssize_t size = (Py_ssize_t)address_size(family);

    return Py_BuildValue("(iIy#y#iOy#)", message->kind, (unsigned)message->index, (const char *)message->source, size,
                         (const char *)message->destination, size, message->ttl,
                         message->router_alert ? Py_True : Py_False, (const char *)message->data,
                         (Py_ssize_t)message->length);
}

/* A copy of exactly its size: sanitizers see a step beyond it. NULL with an exception set. */
static unsigned char *exact_copy(PyObject *object, const char *name, size_t *length)
{
    unsigned char *copy;
    char *bytes;
    Py_ssize_t size;

    if (!PyBytes_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be bytes", name);
        return NULL;
    }
    if (PyBytes_AsStringAndSize(object, &bytes, &size) < 0)
        return NULL;
    copy = malloc(size > 0 ? (size_t)size : 1);
    if (copy == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(copy, bytes, (size_t)size);
    *length = (size_t)size;
    return copy;
}

static PyObject *decode(int family, int protocol, PyObject *data, PyObject *options, struct ancillary *told)
{
    struct message message;
    unsigned char *bytes, *copy;
    size_t length;
    PyObject *result = NULL;
    int good;

    bytes = exact_copy(data, "data", &length);
    copy = bytes == NULL ? NULL : exact_copy(options, "hop_options", &told->hop_options_length);
    if (copy != NULL) {
        told->hop_options = copy;
        good = family == AF_INET ? decode4(bytes, length, protocol, told->ifindex, &message)
                                 : decode6(bytes, length, protocol, told, &message);
        result = good ? message_tuple(&message, family) : Py_BuildValue("");
    }
    free(copy);
    free(bytes);
    return result;
}

PyObject *mroute_decode(PyObject *self, PyObject *args)
{
    PyObject *family_object, *protocol_object, *data, *ifindex_object, *source, *destination, *limit_object, *options;
    struct ancillary told = {0};
    long long protocol, ifindex, limit;
    Py_ssize_t size;
    int family;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOOOO:decode", &family_object, &protocol_object, &data, &ifindex_object, &source,
                          &destination, &limit_object, &options))
        return NULL;
    if (to_family(family_object, &family) < 0 || to_number(protocol_object, "protocol", 1, 255, &protocol) < 0 ||
        to_number(ifindex_object, "ifindex", 0, INT32_MAX, &ifindex) < 0 ||
        to_number(limit_object, "hop_limit", -1, 255, &limit) < 0)
        return NULL;
    size = (Py_ssize_t)address_size(family);
    if (to_bytes(source, "source", size, &told.source) < 0 || to_bytes(destination, "destination", size, &told.destination) < 0)
        return NULL;
    told.ifindex = (uint32_t)ifindex;
    told.hop_limit = (int)limit;
    return decode(family, (int)protocol, data, options, &told);
}
