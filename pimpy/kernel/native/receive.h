/* A batch of received messages, for receive.c and for the thread of registers.c. */
#ifndef PIMPY_RECEIVE_H
#define PIMPY_RECEIVE_H

#include "mroute.h"

#include <sys/uio.h>

#define BATCH 32
#define SLOT (65536 + 128) /* the longest IP packet, with an upcall's header in front */
#define CONTROL 3072       /* packet info, hop limit, and a Hop-by-Hop header of up to 2048 bytes */

enum { SLOT_MALFORMED, SLOT_GOOD, SLOT_TRUNCATED };

struct batch {
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];
    struct sockaddr_in6 names[BATCH];
    union {
        unsigned char bytes[CONTROL];
        struct cmsghdr align;
    } controls[BATCH];
    unsigned char slots[BATCH][SLOT];
};

/* Receive up to `wanted` (at most BATCH) messages that wait: how many, or -1 with errno. Needs no GIL. */
int receive_batch(struct batch *batch, int fd, int family, unsigned wanted);

/* SLOT_GOOD with `message` filled, its pointers leading into the batch and into `info`. Needs no GIL. */
int decode_slot(struct batch *batch, unsigned i, int family, int protocol, struct message *message, struct in6_pktinfo *info);

#endif
