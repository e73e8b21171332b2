/* Register tunnels: a data packet becomes a Register, or several, on its way to the RP (RFC 7761 4.4.1). Needs no GIL. */
#ifndef PIMPY_TUNNEL_H
#define PIMPY_TUNNEL_H

#include "mroute.h"

#include <sys/uio.h>

#define OUTPUT 64
#define REGISTER_HEADER 8
#define PATH_MTU 1500 /* as long as the kernel tells of none */
#define TUNNELS 16     /* that an (S,G) leaves by, at most: to one RP, or to the members of an anycast set */

/* From our address to an RP. */
struct tunnel {
    struct tunnel *next;
    size_t users; /* entries that lead there */
    unsigned char source[16];
    unsigned char rp[16];
    unsigned char header[REGISTER_HEADER]; /* complete: the checksum covers nothing of the packet inside */
    uint32_t mtu;                          /* of the path */
    uint64_t asked;                        /* when the kernel was asked for it: nanoseconds; 0: never */
};

/* Registers that leave together. Their data stay where they are until `flush`. */
struct output {
    int fd;
    int family;
    unsigned count;
    uint64_t refused; /* by the kernel, in all */
    struct mmsghdr headers[OUTPUT];
    struct iovec vectors[OUTPUT][2];
    unsigned char heads[OUTPUT][REGISTER_HEADER + IP4_HEADER];
    union {
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } names[OUTPUT];
    union {
        unsigned char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } controls[OUTPUT];
};

enum encapsulated { SENT, TTL_SPENT, TOO_BIG };

void fill_header(struct tunnel *tunnel, int family);

/* From one address of ours to each of the RPs, which stand one behind the other: 0, or -1 with an exception set. */
int to_tunnels(int family, const unsigned char *address, PyObject *rps, struct tunnel *tunnels, unsigned *count);

/* The path MTU towards the RP as the kernel knows it now, PATH_MTU if it does not. */
uint32_t path_mtu(const struct tunnel *tunnel, int family);

/*
 * Encapsulate a whole IP packet, as decode.c found it sound, for each of some tunnels: its TTL and an unfinished UDP
 * checksum are changed in place. One that is too big for one of them goes to none.
 */
enum encapsulated encapsulate(struct output *output, const struct tunnel *tunnels, unsigned count, unsigned char *packet,
                              size_t length);

/* The one with the smallest MTU. */
const struct tunnel *tightest(const struct tunnel *tunnels, unsigned count);

/* One hop: an unfinished UDP checksum is finished, the TTL is one less. 0 if it is spent; then nothing has changed. */
int take_hop(int family, unsigned char *packet, size_t length);

/* Send a whole packet on, by the raw socket `fd` out of an interface. What fails is lost. */
void forward_packet(int fd, int family, uint32_t ifindex, const unsigned char *packet, size_t length);

/* Tell the packet's source, by the raw socket `fd`, of the size that fits (R21). */
void tell_too_big(int fd, const struct tunnel *tunnel, const unsigned char *packet, size_t length);

/* Send what was encapsulated. */
void flush(struct output *output);

#endif
