/* The register table, and what its thread and its owner share. */
#ifndef PIMPY_REGISTERS_H
#define PIMPY_REGISTERS_H

#include "receive.h"
#include "tunnel.h"

#include <pthread.h>

#define BUCKETS 256 /* to begin with */
#define HELD_BUCKETS 1024
#define KEY 32 /* source and group, each at the family's size, then zeros */

/* What is counted: packets that were taken for sending, and by reason what was not sent on. */
enum total { SENT_ALL, DROP_STOPPED, DROP_TTL, DROP_TOO_BIG, DROP_REFUSED, DROP_HELD, DROP_QUEUE, DROP_TRUNCATED, DROP_MALFORMED, TOTALS };

/* An (S,G) that is registered. */
struct entry {
    struct entry *next;
    unsigned char key[KEY];
    struct tunnel *tunnels[TUNNELS];
    unsigned count; /* of tunnels, one at least */
    int stopped; /* by a Register-Stop: what still comes for the tunnel goes nowhere */
    uint64_t packets, bytes;
    uint64_t told; /* when the source was last told that its packets are too big: nanoseconds */
};

/* A message for the owner, who takes it with `receive`. */
struct waiting {
    struct waiting *next;
    struct message message; /* its pointers lead into `bytes` */
    unsigned char bytes[];
};

/* A stream that the kernel has no entry for: see hold.c. */
struct held {
    struct held *next;
    unsigned char key[KEY];
    int vif;             /* that it comes in by */
    uint64_t since;      /* nanoseconds */
    struct kept *first, **last;
    size_t bytes;
};

/* What becomes of a stream. */
struct answer {
    unsigned char key[KEY];
    int sets; /* else the entry was deleted */
    int iif;
    uint32_t oifs;
};

struct release {
    uint32_t devices[VIFS]; /* the interface of each vif, 0: none */
    struct output output;
};

struct registers {
    int mroute, raw, family, protocol;
    size_t limit; /* of entries */

    pthread_mutex_t lock; /* for all from here to the next gap; never held while anything waits */
    struct entry **buckets;
    size_t size, count; /* of buckets, a power of two; of entries */
    uint64_t seed;
    struct tunnel *tunnels;
    uint64_t totals[TOTALS];
    struct waiting *first, **last;
    size_t held; /* bytes of the messages that wait */
    int error;   /* errno that ended the thread */
    int tunnel;  /* the register tunnel's vif; -1: there is none, and no stream is held */
    struct held *streams[HELD_BUCKETS];
    size_t holding, kept; /* streams, and bytes of their packets */

    int ready; /* an eventfd that is readable while messages wait */
    int stop;  /* one that ends the thread */
    int running;
    pthread_t thread;
    struct batch *batch; /* from here on: the thread's */
    struct output output;
};

void make_key(const unsigned char *source, const unsigned char *group, int family, unsigned char *key);
size_t bucket_of(const struct registers *registers, const unsigned char *key, size_t size); /* `size`: a power of two */
struct entry *find_entry(const struct registers *registers, const unsigned char *key);
int set_entry(struct registers *registers, const unsigned char *key, const struct tunnel *wanted, unsigned count,
              int stopped); /* 0, or an errno */
int delete_entry(struct registers *registers, const unsigned char *key); /* whether it was there */
unsigned copy_tunnels(const struct entry *entry, struct tunnel *tunnels); /* how many */

/* For the thread: hold the stream of a NOCACHE; 1 if a packet was one of a held stream; give up what waits too long. */
void hold_stream(struct registers *registers, const struct message *message, uint64_t now);
int keep_packet(struct registers *registers, const struct message *message);
void expire_held(struct registers *registers, uint64_t now);

/* For the owner: the entry stands, so what was kept of the stream follows; all is forgotten at the end. */
void release_stream(struct registers *registers, struct release *release, const struct answer *answer);
void forget_held(struct registers *registers);

/* The thread: 0, or an errno. */
int start_thread(struct registers *registers);
void stop_thread(struct registers *registers);

/* Take up to `limit` waiting messages out; the caller frees them. */
struct waiting *take_waiting(struct registers *registers, long limit);

#endif
