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
    int stopped; /* by a Register-Stop: what still comes for the tunnel is registered no more */
    uint64_t packets, bytes;
    uint64_t told; /* when the source was last told that its packets are too big: nanoseconds */
    uint32_t oifs; /* that each packet leaves by as well, behind its Register */
    uint64_t until; /* the look from which on it does not; 0: none */
};

/* A message for the owner, who takes it with `receive`. */
struct waiting {
    struct waiting *next;
    struct message message; /* its pointers lead into `bytes` */
    unsigned char bytes[];
};

/* A packet of a held stream. */
struct kept {
    struct kept *next;
    size_t length;
    unsigned char packet[];
};

/* A stream that the kernel has no entry for, or had none for until just now: see hold.c. */
struct held {
    struct held *next;
    unsigned char key[KEY];
    int vif;        /* that it comes in by */
    uint64_t since; /* nanoseconds */
    struct kept *first, **last;
    size_t bytes;
    uint64_t led;   /* the number of our entry, once that stands */
    uint32_t oifs;  /* once it is answered: where that leads */
    uint64_t until; /* the look from which on nothing of it can come any more; 0: not answered */
    struct held *next_due;
    uint64_t due;   /* when what is still kept follows: nanoseconds */
};

/* Where copies of a packet go. */
struct ways {
    uint32_t oifs;
    uint32_t devices[VIFS];          /* the interface of each vif, 0: none */
    unsigned char thresholds[VIFS]; /* the TTL that a packet must have, at least, as it leaves */
};

/* What becomes of a stream. */
struct answer {
    unsigned char key[KEY];
    int sets; /* else the entry was deleted */
    int iif;
    uint32_t oifs;
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
    struct ways vifs; /* all there are */
    uint64_t looks;   /* how often the thread has found the socket empty, and had dealt with all that was in it */
    uint64_t leads, seen; /* entries of held streams so far, and those that the owner has seen before it wrote its own */
    struct held *streams[HELD_BUCKETS];
    size_t holding, answered, kept; /* streams that wait, streams whose answer is there, bytes of packets */
    struct held *due; /* those of which the rest is to follow, in the order in which they are due */

    int ready; /* an eventfd that is readable while messages wait */
    int wake;  /* one that makes the thread look at what is due, and at `ending` */
    int ending;
    int running;
    pthread_t thread;
    struct batch *batch; /* from here on: the thread's */
    struct output output;
};

/* A table without entries, its thread at work unless it is paused; NULL with errno set. */
struct registers *new_registers(int mroute, int pim, int raw, int family, int protocol, size_t limit, int paused);
void free_registers(struct registers *registers); /* NULL is none */

void make_key(const unsigned char *source, const unsigned char *group, int family, unsigned char *key);
size_t bucket_of(const struct registers *registers, const unsigned char *key, size_t size); /* `size`: a power of two */
struct entry *find_entry(const struct registers *registers, const unsigned char *key);
int set_entry(struct registers *registers, const unsigned char *key, const struct tunnel *wanted, unsigned count,
              int stopped); /* 0, or an errno */
int delete_entry(struct registers *registers, const unsigned char *key); /* whether it was there */
unsigned copy_tunnels(const struct entry *entry, struct tunnel *tunnels); /* how many */

/* A number that is reached when all that the socket holds now, and what is just coming, has been dealt with. */
static inline uint64_t look_after_this(const struct registers *registers) { return registers->looks + 2; }

/* The vifs of a mask, the register tunnel left out. Whoever calls has the lock. */
void fill_ways(const struct registers *registers, uint32_t oifs, struct ways *ways);
/* Send a packet on, its TTL less by one already. Needs no lock. */
void forward_by(const struct registers *registers, const struct ways *ways, const unsigned char *packet, size_t length);

/*
 * For the thread: hold the stream of a NOCACHE; what a packet is to the held streams, with its ways if they are known;
 * give up what waits too long.
 */
enum keeping { NOT_HELD, KEPT, ANSWERED };

void hold_stream(struct registers *registers, const struct message *message, uint64_t now);
enum keeping keep_packet(struct registers *registers, const struct message *message, struct ways *ways);
void expire_held(struct registers *registers, uint64_t now);
int send_due(struct registers *registers); /* milliseconds until it has to be called again, -1: never */

/* For the owner: the entry stands, so what was kept of the stream follows; all is forgotten at the end. */
void release_stream(struct registers *registers, struct output *output, const struct answer *answer);
void forget_held(struct registers *registers);

/* Between hold.c, follow.c and pump.c; whoever calls has the lock, but for the last one. */
struct held *answer_held(struct registers *registers, const struct answer *answer); /* NULL: it is no answer, or ends all */
struct kept *take_kept(struct registers *registers, struct held *held);
void forget_due(struct registers *registers, struct held *held);
void free_kept(struct kept *kept);

/* The thread: 0, or an errno. */
int start_thread(struct registers *registers);
void stop_thread(struct registers *registers);
void wake_thread(const struct registers *registers); /* to look at the socket, and at what is due */

/* Take up to `limit` waiting messages out; the caller frees them. */
struct waiting *take_waiting(struct registers *registers, long limit);
void free_waiting(struct waiting *waiting);

#endif
