/*
 * The register table's thread: it alone reads the socket that owns the routing table.
 *
 * What the kernel hands up for the register tunnel, of an (S,G) in the table, leaves as a Register from here. All
 * else waits for the owner. The thread touches no Python object and needs no GIL.
 */
#include "registers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000u
#define WAKE 1000 /* milliseconds between two looks at what is held too long */
#define HELD_MAX (8u << 20)   /* bytes of messages that wait: as many as the socket itself holds */
#define AFTER_ERROR 10        /* milliseconds until the socket is tried again */
#define GATHER 500000         /* nanoseconds that the next packets gather after some were registered */

static uint64_t clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void drop(struct registers *registers, enum total reason)
{
    pthread_mutex_lock(&registers->lock);
    registers->totals[reason]++;
    pthread_mutex_unlock(&registers->lock);
}

static void signal_ready(const struct registers *registers)
{
    uint64_t one = 1;

    (void)!write(registers->ready, &one, sizeof one);
}

/* For the owner: 1 if it was put there, 0 if there is no room. */
static int let_wait(struct registers *registers, const struct message *message)
{
    size_t size = address_size(registers->family), bytes = 2 * size + message->length;
    struct waiting *waiting = malloc(sizeof *waiting + bytes);
    int room;

    if (waiting == NULL)
        return 0;
    waiting->next = NULL;
    waiting->message = *message;
    memcpy(waiting->bytes, message->source, size);
    memcpy(waiting->bytes + size, message->destination, size);
    if (message->length)
        memcpy(waiting->bytes + 2 * size, message->data, message->length);
    waiting->message.source = waiting->bytes;
    waiting->message.destination = waiting->bytes + size;
    waiting->message.data = waiting->bytes + 2 * size;
    pthread_mutex_lock(&registers->lock);
    room = registers->held + sizeof *waiting + bytes <= HELD_MAX;
    if (room) {
        if (registers->first == NULL)
            signal_ready(registers);
        registers->held += sizeof *waiting + bytes;
        *registers->last = waiting;
        registers->last = &waiting->next;
    }
    pthread_mutex_unlock(&registers->lock);
    if (!room)
        free(waiting);
    return room;
}

struct waiting *take_waiting(struct registers *registers, long limit)
{
    struct waiting *taken, **end;
    uint64_t number;

    pthread_mutex_lock(&registers->lock);
    taken = registers->first;
    for (end = &registers->first; *end != NULL && limit > 0; end = &(*end)->next, limit--)
        registers->held -= sizeof **end + 2 * address_size(registers->family) + (*end)->message.length;
    registers->first = *end;
    *end = NULL;
    if (registers->first == NULL) {
        registers->last = &registers->first;
        (void)!read(registers->ready, &number, sizeof number);
    }
    pthread_mutex_unlock(&registers->lock);
    return taken;
}

/* The path MTU of a tunnel is asked for at most once a second, and only when something goes there. */
static void refresh_mtu(struct registers *registers, struct tunnel *copy, uint64_t now)
{
    struct tunnel *tunnel;

    copy->mtu = path_mtu(copy, registers->family);
    pthread_mutex_lock(&registers->lock);
    for (tunnel = registers->tunnels; tunnel != NULL; tunnel = tunnel->next)
        if (memcmp(tunnel->source, copy->source, 16) == 0 && memcmp(tunnel->rp, copy->rp, 16) == 0) {
            tunnel->mtu = copy->mtu;
            tunnel->asked = now;
        }
    pthread_mutex_unlock(&registers->lock);
}

/* Streams come to be held by this thread alone, so it may look without the lock: at worst one has just been released. */
static int holds(const struct registers *registers)
{
    return __atomic_load_n(&registers->holding, __ATOMIC_RELAXED) + __atomic_load_n(&registers->answered, __ATOMIC_RELAXED) > 0;
}

enum found { UNKNOWN, STOPPED, REGISTERED };

/* Through which tunnels a packet goes. */
struct way_in {
    unsigned count;
    struct tunnel tunnels[TUNNELS];
};

/* What the table says of a packet, counted for each tunnel if it is to be sent; ways out that it adds are in `ways` then. */
static enum found look_up(struct registers *registers, const struct message *message, struct way_in *in, struct ways *ways)
{
    unsigned char key[KEY];
    enum found found = UNKNOWN;
    struct entry *entry;

    make_key(message->source, message->destination, registers->family, key);
    pthread_mutex_lock(&registers->lock);
    entry = find_entry(registers, key);
    if (entry != NULL) {
        found = entry->stopped ? STOPPED : REGISTERED;
        in->count = copy_tunnels(entry, in->tunnels);
        if (entry->oifs && (entry->until == 0 || registers->looks < entry->until))
            fill_ways(registers, ways->oifs | entry->oifs, ways);
        if (entry->stopped) {
            registers->totals[DROP_STOPPED]++;
        } else {
            registers->totals[SENT_ALL] += entry->count;
            entry->packets++;
            entry->bytes += message->length;
        }
    }
    pthread_mutex_unlock(&registers->lock);
    return found;
}

/* It was counted as sent, and is not: the entry may be gone meanwhile. 1 if its source should be told. */
static int not_sent(struct registers *registers, const struct message *message, unsigned count, enum total reason,
                    uint64_t now)
{
    unsigned char key[KEY];
    struct entry *entry;
    int due = 0;

    make_key(message->source, message->destination, registers->family, key);
    pthread_mutex_lock(&registers->lock);
    registers->totals[SENT_ALL] -= count;
    registers->totals[reason]++;
    entry = find_entry(registers, key);
    if (entry != NULL && entry->packets > 0) {
        entry->packets--;
        entry->bytes -= message->length;
        due = entry->told == 0 || now - entry->told >= SECOND;
        if (due && reason == DROP_TOO_BIG)
            entry->told = now;
    }
    pthread_mutex_unlock(&registers->lock);
    return due;
}

/* 1 if it is on its way, its TTL less by one. */
static int register_packet(struct registers *registers, const struct message *message, struct way_in *in, uint64_t now)
{
    unsigned char *packet = (unsigned char *)(uintptr_t)message->data; /* in our own batch */
    unsigned i;

    for (i = 0; i < in->count; i++)
        if (in->tunnels[i].asked == 0 || now - in->tunnels[i].asked >= SECOND)
            refresh_mtu(registers, &in->tunnels[i], now);
    switch (encapsulate(&registers->output, in->tunnels, in->count, packet, message->length)) {
    case SENT:
        return 1;
    case TTL_SPENT:
        not_sent(registers, message, in->count, DROP_TTL, now);
        break;
    case TOO_BIG:
        if (not_sent(registers, message, in->count, DROP_TOO_BIG, now))
            tell_too_big(registers->raw, tightest(in->tunnels, in->count), packet, message->length);
        break;
    }
    return 0;
}

static void send_all(struct registers *registers)
{
    flush(&registers->output);
    if (registers->output.refused) {
        pthread_mutex_lock(&registers->lock);
        registers->totals[SENT_ALL] -= registers->output.refused;
        registers->totals[DROP_REFUSED] += registers->output.refused;
        pthread_mutex_unlock(&registers->lock);
        registers->output.refused = 0;
    }
}

/* A packet for the register tunnel: 1 if it is of an entry, or of a stream that was held until now. */
static int pass_on(struct registers *registers, const struct message *message, uint64_t now)
{
    unsigned char *packet = (unsigned char *)(uintptr_t)message->data; /* in our own batch */
    struct way_in in;
    struct ways ways;
    int held = NOT_HELD, on_its_way = 0;
    enum found found;

    ways.oifs = 0;
    if (holds(registers))
        held = keep_packet(registers, message, &ways);
    if (held == KEPT)
        return 1;
    found = look_up(registers, message, &in, &ways);
    if (found == REGISTERED)
        on_its_way = register_packet(registers, message, &in, now);
    if (ways.oifs) {
        send_all(registers); /* its Register goes first */
        if (on_its_way || take_hop(registers->family, packet, message->length))
            forward_by(registers, &ways, packet, message->length);
    }
    return found != UNKNOWN || held == ANSWERED;
}

/* 1 if it was a packet for the register tunnel, and is dealt with. */
static int handle(struct registers *registers, unsigned i, uint64_t now)
{
    struct in6_pktinfo info;
    struct message message;
    int result = decode_slot(registers->batch, i, registers->family, registers->protocol, &message, &info);

    if (result != SLOT_GOOD) {
        drop(registers, result == SLOT_TRUNCATED ? DROP_TRUNCATED : DROP_MALFORMED);
        return 0;
    }
    if (message.kind == UPCALL + UPCALL_WHOLEPKT) {
        if (pass_on(registers, &message, now))
            return 1;
    } else if (message.kind == UPCALL + UPCALL_NOCACHE) {
        hold_stream(registers, &message, now);
    }
    if (!let_wait(registers, &message))
        drop(registers, DROP_QUEUE);
    return 0;
}

static void count_look(struct registers *registers)
{
    pthread_mutex_lock(&registers->lock);
    registers->looks++;
    pthread_mutex_unlock(&registers->lock);
}

/*
 * All that waits in the socket: 0, or the errno of a socket that is none.
 *
 * Where one packet was registered, more are to come. To wake up for each costs more than the rest of its way, so they
 * are left to gather for a moment.
 */
static int drain(struct registers *registers)
{
    const struct timespec moment = {.tv_nsec = GATHER};
    int count, registered = 0;

    do {
        uint64_t now;
        int i;

        count = receive_batch(registers->batch, registers->mroute, registers->family, BATCH);
        if (count < 0 && errno == EAGAIN)
            count = 0;
        if (count < 0)
            return errno == EINTR ? 0 : errno;
        now = clock_now();
        for (i = 0; i < count; i++)
            registered += handle(registers, (unsigned)i, now);
        send_all(registers);
    } while (count == BATCH);
    count_look(registers);
    if (registered)
        nanosleep(&moment, NULL);
    return 0;
}

/* An error of the socket may pass; one of the descriptor does not. The owner hears of it when it next receives. */
static int goes_on(struct registers *registers, int error)
{
    if (error == EBADF || error == ENOTSOCK) {
        pthread_mutex_lock(&registers->lock);
        registers->error = error;
        signal_ready(registers);
        pthread_mutex_unlock(&registers->lock);
        return 0;
    }
    poll(NULL, 0, AFTER_ERROR);
    return 1;
}

static void *run(void *argument)
{
    struct registers *registers = argument;
    struct pollfd watched[2] = {{.fd = registers->mroute, .events = POLLIN}, {.fd = registers->wake, .events = POLLIN}};
    uint64_t expired = 0, number;

    for (;;) {
        int error = 0, waits = holds(registers), due = waits ? send_due(registers) : -1;

        if (poll(watched, 2, due >= 0 ? due : waits ? WAKE : -1) < 0)
            continue; /* EINTR, or ENOMEM, which passes */
        if (waits && clock_now() - expired >= SECOND) {
            expired = clock_now();
            expire_held(registers, expired);
        }
        if (watched[1].revents)
            (void)!read(registers->wake, &number, sizeof number);
        if (__atomic_load_n(&registers->ending, __ATOMIC_ACQUIRE))
            return NULL;
        if (watched[0].revents & POLLNVAL)
            error = EBADF;
        else if (watched[0].revents)
            error = drain(registers);
        else
            count_look(registers);
        if (watched[1].revents)
            count_look(registers); /* what the owner did before it woke us came before this look as well */
        if (error && !goes_on(registers, error))
            return NULL;
    }
}

/* No signal is for this thread: the interpreter's handlers run in the threads that it knows. */
int start_thread(struct registers *registers)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&registers->thread, NULL, run, registers);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    registers->running = error == 0;
    return error;
}

void wake_thread(const struct registers *registers)
{
    uint64_t one = 1;

    (void)!write(registers->wake, &one, sizeof one);
}

void stop_thread(struct registers *registers)
{
    if (registers->running) {
        __atomic_store_n(&registers->ending, 1, __ATOMIC_RELEASE);
        wake_thread(registers);
        pthread_join(registers->thread, NULL);
        registers->running = 0;
    }
}
