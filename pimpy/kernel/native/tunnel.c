/* Registers: what a data packet becomes on its way to the RP (RFC 7761 4.4.1, 4.9.3; conformance R8, R9, R16, R19 to R21). */
#include "tunnel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION_AND_TYPE 0x21
#define OUTER4 (IP4_HEADER + REGISTER_HEADER)
#define OUTER6 (IP6_HEADER + REGISTER_HEADER)
#define SMALLEST4 68   /* RFC 791: what every link carries */
#define SMALLEST6 1280 /* RFC 8200 5 */
#define DONT_FRAGMENT 0x4000
#define MORE_FRAGMENTS 0x2000
#define FRAGMENT_OFFSET 0x1fff
#define PACKET_TOO_BIG 2
#define ICMP_HEADER 8
#define PATIENCE 20 /* milliseconds that a full send buffer is waited for */

static unsigned get16(const unsigned char *at) { return (unsigned)at[0] << 8 | at[1]; }

static void put16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

static unsigned fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (unsigned)sum;
}

/* RFC 1071, not complemented; four bytes at a time in the order that this machine has them (its 2 B and C). */
static uint32_t add_sum(uint32_t sum, const unsigned char *at, size_t length)
{
    uint64_t words = 0;
    uint32_t word;

    for (; length >= sizeof word; at += sizeof word, length -= sizeof word) {
        memcpy(&word, at, sizeof word);
        words += word;
    }
    sum += ntohs((uint16_t)fold(words));
    if (length > 1)
        sum += get16(at);
    return length & 1 ? sum + ((uint32_t)at[length - 1] << 8) : sum;
}

/* IPv6's checksum covers a pseudo header, its length being that of what is covered; the packet inside is not (4.9.3). */
void fill_header(struct tunnel *tunnel, int family)
{
    uint32_t sum = VERSION_AND_TYPE << 8;

    memset(tunnel->header, 0, REGISTER_HEADER);
    tunnel->header[0] = VERSION_AND_TYPE;
    if (family == AF_INET6)
        sum = add_sum(add_sum(sum + REGISTER_HEADER + IPPROTO_PIM, tunnel->source, 16), tunnel->rp, 16);
    put16(tunnel->header + 2, ~fold(sum) & 0xffff);
}

uint32_t path_mtu(const struct tunnel *tunnel, int family)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), mtu = 0, done = -1;
    socklen_t length = sizeof mtu;

    if (fd < 0)
        return PATH_MTU;
    if (family == AF_INET) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};

        memcpy(&to.sin_addr, tunnel->rp, 4);
        if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
            done = getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &length);
    } else {
        struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(9)};

        memcpy(&to.sin6_addr, tunnel->rp, 16);
        if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
            done = getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &length);
    }
    close(fd);
    return done == 0 && mtu > 0 ? (uint32_t)mtu : PATH_MTU;
}

/* The outer packet's DSCP and ECN are those of the inner one (R9). */
static void copy_traffic_class(struct msghdr *header, int family, int value)
{
    add_number(header, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, family == AF_INET ? IP_TOS : IPV6_TCLASS, value);
}

/* One more Register: what is behind the `head` bytes of its own header is at `data`. */
static unsigned char *append(struct output *output, const struct tunnel *tunnel, int traffic_class, size_t head,
                             const unsigned char *data, size_t length)
{
    struct packet packet = {.ifindex = 0, .source = tunnel->source, .destination = tunnel->rp};
    struct msghdr *header;
    unsigned i;

    if (output->count == OUTPUT)
        flush(output);
    i = output->count++;
    header = &output->headers[i].msg_hdr;
    memset(header, 0, sizeof *header);
    memset(&output->controls[i], 0, sizeof output->controls[i]);
    memset(&output->names[i], 0, sizeof output->names[i]);
    memcpy(output->heads[i], tunnel->header, REGISTER_HEADER);
    output->vectors[i][0] = (struct iovec){output->heads[i], head};
    output->vectors[i][1] = (struct iovec){(void *)(uintptr_t)data, length};
    header->msg_name = &output->names[i];
    header->msg_iov = output->vectors[i];
    header->msg_iovlen = 2;
    header->msg_control = output->controls[i].bytes;
    header->msg_controllen = sizeof output->controls[i].bytes;
    address_packet(header, output->family, &packet);
    copy_traffic_class(header, output->family, traffic_class);
    return output->heads[i] + REGISTER_HEADER;
}

/*
 * A UDP checksum that the sender left to its interface is still the sum of the pseudo header: packets between
 * namespaces and from virtual machines come so, and inside a Register nobody else would finish it.
 */
static void finish_udp(unsigned char *udp, size_t length, const unsigned char *addresses, size_t size)
{
    unsigned covered = get16(udp + 4), told = get16(udp + 6), sum;

    if (covered < 8 || covered > length || told == 0)
        return;
    if (told != fold(add_sum(covered + IPPROTO_UDP, addresses, size)))
        return;
    sum = ~fold(add_sum(0, udp, covered)) & 0xffff;
    put16(udp + 6, sum ? sum : 0xffff);
}

static void set_sum4(unsigned char *header, size_t length)
{
    put16(header + 10, 0);
    put16(header + 10, ~fold(add_sum(0, header, length)) & 0xffff);
}

/* Each fragment gets a Register of its own (R20). The packet has no options, so fragments need none. */
static void fragment(struct output *output, const struct tunnel *tunnel, const unsigned char *packet, size_t length,
                     size_t room)
{
    size_t step = (room - IP4_HEADER) & ~(size_t)7, at = IP4_HEADER;
    unsigned told = get16(packet + 6), offset = told & FRAGMENT_OFFSET;

    while (at < length) {
        size_t part = length - at < step ? length - at : step;
        unsigned more = at + part < length ? MORE_FRAGMENTS : told & MORE_FRAGMENTS;
        unsigned char *head =
            append(output, tunnel, packet[1], REGISTER_HEADER + IP4_HEADER, packet + at, part);

        memcpy(head, packet, IP4_HEADER);
        put16(head + 2, (unsigned)(IP4_HEADER + part));
        put16(head + 6, more | (offset + (unsigned)((at - IP4_HEADER) / 8)));
        set_sum4(head, IP4_HEADER);
        at += part;
    }
}

static int take_hop4(unsigned char *packet, size_t length)
{
    size_t header = (size_t)(packet[0] & 15) * 4;
    unsigned flags = get16(packet + 6);

    if (packet[8] <= 1)
        return 0;
    if (packet[9] == IPPROTO_UDP && !(flags & (MORE_FRAGMENTS | FRAGMENT_OFFSET)) && length >= header + 8)
        finish_udp(packet + header, length - header, packet + 12, 8);
    packet[8]--;
    put16(packet + 10, fold(get16(packet + 10) + 0x0100)); /* RFC 1624 */
    return 1;
}

static int take_hop6(unsigned char *packet, size_t length)
{
    if (packet[7] <= 1)
        return 0;
    if (packet[6] == IPPROTO_UDP && length >= IP6_HEADER + 8)
        finish_udp(packet + IP6_HEADER, length - IP6_HEADER, packet + 8, 32);
    packet[7]--;
    return 1;
}

int take_hop(int family, unsigned char *packet, size_t length)
{
    return (family == AF_INET ? take_hop4 : take_hop6)(packet, length);
}

/* What may not be fragmented goes in one Register, which the kernel fragments: no source learns of it otherwise (RFC 1122 3.2.2). */
static void wrap4(struct output *output, const struct tunnel *tunnel, const unsigned char *packet, size_t length)
{
    size_t room = tunnel->mtu > OUTER4 ? tunnel->mtu - OUTER4 : 0;

    if (length <= room || get16(packet + 6) & DONT_FRAGMENT || (packet[0] & 15) * 4 != IP4_HEADER || room < SMALLEST4)
        append(output, tunnel, packet[1], REGISTER_HEADER, packet, length);
    else
        fragment(output, tunnel, packet, length, room);
}

/* The smallest MTU that IPv6 allows fits any tunnel: there the kernel fragments the Register (R21). */
static size_t room6(const struct tunnel *tunnel)
{
    return tunnel->mtu > SMALLEST6 + OUTER6 ? tunnel->mtu - OUTER6 : SMALLEST6;
}

static void wrap6(struct output *output, const struct tunnel *tunnel, const unsigned char *packet, size_t length)
{
    append(output, tunnel, (packet[0] & 15) << 4 | packet[1] >> 4, REGISTER_HEADER, packet, length);
}

const struct tunnel *tightest(const struct tunnel *tunnels, unsigned count)
{
    const struct tunnel *found = tunnels;
    unsigned i;

    for (i = 1; i < count; i++)
        if (tunnels[i].mtu < found->mtu)
            found = &tunnels[i];
    return found;
}

enum encapsulated encapsulate(struct output *output, const struct tunnel *tunnels, unsigned count, unsigned char *packet,
                              size_t length)
{
    int four = output->family == AF_INET;
    unsigned i;

    if (packet[four ? 8 : 7] <= 1)
        return TTL_SPENT;
    if (!four && length > room6(tightest(tunnels, count)))
        return TOO_BIG;
    take_hop(output->family, packet, length);
    for (i = 0; i < count; i++)
        (four ? wrap4 : wrap6)(output, &tunnels[i], packet, length);
    return SENT;
}

/* RFC 4443 3.2: as much of the packet as fits the smallest MTU. */
void tell_too_big(int fd, const struct tunnel *tunnel, const unsigned char *packet, size_t length)
{
    unsigned char message[SMALLEST6], *icmp = message + IP6_HEADER;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6};
    size_t part = length < SMALLEST6 - IP6_HEADER - ICMP_HEADER ? length : SMALLEST6 - IP6_HEADER - ICMP_HEADER;
    size_t mtu = room6(tunnel), size = ICMP_HEADER + part;

    memset(message, 0, IP6_HEADER + ICMP_HEADER);
    message[0] = 0x60;
    put16(message + 4, (unsigned)size);
    message[6] = IPPROTO_ICMPV6;
    message[7] = 64;
    memcpy(message + 8, tunnel->source, 16);
    memcpy(message + 24, packet + 8, 16);
    icmp[0] = PACKET_TOO_BIG;
    put16(icmp + 4, (unsigned)(mtu >> 16));
    put16(icmp + 6, (unsigned)(mtu & 0xffff));
    memcpy(icmp + ICMP_HEADER, packet, part);
    put16(icmp + 2, ~fold(add_sum(add_sum((uint32_t)size + IPPROTO_ICMPV6, message + 8, 32), icmp, size)) & 0xffff);
    memcpy(&to.sin6_addr, packet + 8, 16);
    (void)sendto(fd, message, IP6_HEADER + size, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
}

void forward_packet(int fd, int family, uint32_t ifindex, const unsigned char *packet, size_t length)
{
    struct packet to = {.ifindex = ifindex, .source = (const unsigned char[16]){0}};
    struct sockaddr_in6 name = {0}; /* the larger one */
    union {
        unsigned char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec vector = {(void *)(uintptr_t)packet, length};
    struct msghdr header = {.msg_name = &name, .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};

    to.destination = packet + (family == AF_INET ? 16 : 24);
    address_packet(&header, family, &to);
    (void)sendmsg(fd, &header, MSG_DONTWAIT);
}

/* A full send buffer is waited for a little; whatever else a packet is refused for, it is lost. */
static int may_wait(int fd)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};

    return (errno == EAGAIN || errno == ENOBUFS) && poll(&writable, 1, PATIENCE) > 0;
}

void flush(struct output *output)
{
    unsigned i = 0, tries = 0;

    while (i < output->count) {
        int sent = sendmmsg(output->fd, output->headers + i, output->count - i, MSG_DONTWAIT);

        if (sent > 0) {
            i += (unsigned)sent;
            tries = 0;
        } else if (sent == 0 || (errno != EINTR && (tries++ > 0 || !may_wait(output->fd)))) {
            i++;
            tries = 0;
            output->refused++;
        }
    }
    output->count = 0;
}

int to_tunnels(int family, const unsigned char *address, PyObject *rps, struct tunnel *tunnels, unsigned *count)
{
    size_t size = address_size(family), i;
    Py_ssize_t length;
    char *bytes;

    if (!PyBytes_Check(rps)) {
        PyErr_SetString(PyExc_TypeError, "rps must be bytes");
        return -1;
    }
    if (PyBytes_AsStringAndSize(rps, &bytes, &length) < 0)
        return -1;
    if (length == 0 || (size_t)length % size != 0 || (size_t)length > TUNNELS * size) {
        PyErr_Format(PyExc_ValueError, "rps must be 1 to %d addresses", TUNNELS);
        return -1;
    }
    *count = (unsigned)((size_t)length / size);
    memset(tunnels, 0, *count * sizeof *tunnels);
    for (i = 0; i < *count; i++) {
        tunnels[i].mtu = PATH_MTU;
        memcpy(tunnels[i].source, address, size);
        memcpy(tunnels[i].rp, bytes + i * size, size);
        fill_header(&tunnels[i], family);
    }
    return 0;
}

/* For tests: the packet's copy has exactly its size, so that sanitizers see a step beyond it. */

static PyObject *registers_of(const struct output *output)
{
    PyObject *result = PyList_New(0);
    unsigned i;

    for (i = 0; result != NULL && i < output->count; i++) {
        const struct iovec *vector = output->vectors[i];
        PyObject *head = PyBytes_FromStringAndSize(vector[0].iov_base, (Py_ssize_t)vector[0].iov_len);
        PyObject *rest = PyBytes_FromStringAndSize(vector[1].iov_base, (Py_ssize_t)vector[1].iov_len);
        PyObject *whole = head == NULL || rest == NULL ? NULL : PySequence_Concat(head, rest);

        if (whole == NULL || PyList_Append(result, whole) < 0)
            Py_CLEAR(result);
        Py_XDECREF(whole);
        Py_XDECREF(head);
        Py_XDECREF(rest);
    }
    return result;
}

static PyObject *encapsulate_copy(struct output *output, const struct tunnel *tunnel, unsigned char *packet, size_t length)
{
    switch (encapsulate(output, tunnel, 1, packet, length)) {
    case TTL_SPENT:
        Py_RETURN_NONE;
    case TOO_BIG:
        return PyLong_FromSize_t(room6(tunnel));
    case SENT:
        break;
    }
    if (output->refused) {
        PyErr_SetString(PyExc_ValueError, "the packet makes too many Registers");
        return NULL;
    }
    return registers_of(output);
}

PyObject *mroute_encapsulate(PyObject *self, PyObject *args)
{
    PyObject *family_object, *source_object, *rp_object, *mtu_object, *packet_object, *result = NULL;
    const unsigned char *source, *rp;
    struct output *output;
    struct tunnel tunnel;
    unsigned char *copy;
    long long mtu;
    char *bytes;
    Py_ssize_t length;
    size_t size;
    int family;

    (void)self;
    memset(&tunnel, 0, sizeof tunnel);
    if (!PyArg_ParseTuple(args, "OOOOO:encapsulate", &family_object, &source_object, &rp_object, &mtu_object, &packet_object))
        return NULL;
    if (to_family(family_object, &family) < 0)
        return NULL;
    size = address_size(family);
    if (to_bytes(source_object, "source", (Py_ssize_t)size, &source) < 0 || to_bytes(rp_object, "rp", (Py_ssize_t)size, &rp) < 0 ||
        to_number(mtu_object, "mtu", 0, UINT32_MAX, &mtu) < 0)
        return NULL;
    if (!PyBytes_Check(packet_object)) {
        PyErr_SetString(PyExc_TypeError, "packet must be bytes");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(packet_object, &bytes, &length) < 0)
        return NULL;
    if (length == 0 || sound_packet(family, (unsigned char *)bytes, (size_t)length) != (size_t)length) {
        PyErr_SetString(PyExc_ValueError, "packet must be one whole packet");
        return NULL;
    }
    memcpy(tunnel.source, source, size);
    memcpy(tunnel.rp, rp, size);
    tunnel.mtu = (uint32_t)mtu;
    fill_header(&tunnel, family);
    output = calloc(1, sizeof *output);
    copy = malloc((size_t)length);
    if (output != NULL && copy != NULL) {
        memcpy(copy, bytes, (size_t)length);
        output->fd = -1;
        output->family = family;
        result = encapsulate_copy(output, &tunnel, copy, (size_t)length);
    } else {
        PyErr_NoMemory();
    }
    free(copy);
    free(output);
    return result;
}
