/*
 * Streams that the kernel has no entry for, held until the core has said what becomes of them.
 *
 * The kernel itself keeps four packets of such a stream and drops the rest. So the thread answers its question at once
 * by an entry that leads to the register tunnel and nowhere else, by which every further packet is handed up, and
 * keeps them. When the core's entry stands, what was kept goes where that entry sends it (follow.c), and so do the
 * packets that the thread has yet to read from the socket: the kernel handed them up by the entry before.
 */
#include "registers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_MAX 1024
#define ANSWERED_MAX 8192
#define STREAM_MAX (1u << 20) /* bytes of one stream, with what a packet needs beside */
#define KEPT_MAX (8u << 20)   /* of all */
#define PATIENCE UINT64_C(10000000000) /* nanoseconds, as the kernel's own */

static struct held **place_of(struct registers *registers, const unsigned char *key)
{
    struct held **place = &registers->streams[bucket_of(registers, key, HELD_BUCKETS)];

    while (*place != NULL && memcmp((*place)->key, key, KEY) != 0)
        place = &(*place)->next;
    return place;
}

static void count(size_t *counter, int change)
{
    __atomic_fetch_add(counter, (size_t)change, __ATOMIC_RELAXED);
}

static struct held *detach(struct registers *registers, struct held **place)
{
    struct held *held = *place;

    *place = held->next;
    forget_due(registers, held);
    count(held->until ? &registers->answered : &registers->holding, -1);
    registers->kept -= held->bytes;
    return held;
}

void free_kept(struct kept *kept)
{
    while (kept != NULL) {
        struct kept *next = kept->next;

        free(kept);
        kept = next;
    }
}

static void free_held(struct held *held)
{
    if (held != NULL)
        free_kept(held->first);
    free(held);
}

void forget_held(struct registers *registers)
{
    size_t i;

    for (i = 0; i < HELD_BUCKETS; i++)
        while (registers->streams[i] != NULL)
            free_held(detach(registers, &registers->streams[i]));
}

struct kept *take_kept(struct registers *registers, struct held *held)
{
    struct kept *first = held->first;

    registers->kept -= held->bytes;
    held->bytes = 0;
    held->first = NULL;
    held->last = &held->first;
    return first;
}

static void lead(const struct registers *registers, const struct held *held, int tunnel)
{
    size_t size = address_size(registers->family);

    (void)write_mfc(registers->mroute, registers->family, held->key, held->key + size, held->vif, tunnel);
}

void hold_stream(struct registers *registers, const struct message *message, uint64_t now)
{
    struct held *held, *before = NULL, copy, **place;
    int tunnel = -1;

    if (__atomic_load_n(&registers->tunnel, __ATOMIC_RELAXED) < 0)
        return;
    held = calloc(1, sizeof *held);
    /* The owner may have been faster: it does not wait for the kernel's question where it knows the stream. */
    if (held == NULL || has_mfc(registers->mroute, registers->family, message->source, message->destination)) {
        free(held);
        return;
    }
    make_key(message->source, message->destination, registers->family, held->key);
    held->vif = (int)message->index;
    held->since = now;
    held->last = &held->first;
    copy = *held;
    pthread_mutex_lock(&registers->lock);
    place = place_of(registers, held->key);
    if (*place != NULL && (*place)->until)
        before = detach(registers, place); /* answered, and deleted since then */
    if (registers->tunnel >= 0 && registers->holding < STREAMS_MAX && *place == NULL) {
        tunnel = registers->tunnel;
        held->next = *place;
        *place = held;
        count(&registers->holding, 1);
        held = NULL;
    }
    pthread_mutex_unlock(&registers->lock);
    free(held);
    free_held(before);
    if (tunnel < 0)
        return;
    lead(registers, &copy, tunnel);
    /* The owner hears of the stream after this, and writes its entry over ours. It may have written one before. */
    pthread_mutex_lock(&registers->lock);
    held = *place_of(registers, copy.key);
    if (held != NULL)
        held->led = ++registers->leads;
    pthread_mutex_unlock(&registers->lock);
}

static void append(struct registers *registers, struct held *held, const struct message *message)
{
    size_t bytes = sizeof(struct kept) + message->length;
    struct kept *kept = held->bytes + bytes > STREAM_MAX || registers->kept + bytes > KEPT_MAX ? NULL : malloc(bytes);

    if (kept == NULL) {
        registers->totals[DROP_HELD]++;
        return;
    }
    kept->next = NULL;
    kept->length = message->length;
    memcpy(kept->packet, message->data, message->length);
    *held->last = kept;
    held->last = &kept->next;
    held->bytes += bytes;
    registers->kept += bytes;
}

enum keeping keep_packet(struct registers *registers, const struct message *message, struct ways *ways)
{
    enum keeping keeping = NOT_HELD;
    unsigned char key[KEY];
    struct held *held;

    make_key(message->source, message->destination, registers->family, key);
    pthread_mutex_lock(&registers->lock);
    held = *place_of(registers, key);
    if (held != NULL && (held->until == 0 || held->first != NULL)) {
        keeping = KEPT; /* behind those that are to follow, if it is answered */
        append(registers, held, message);
    } else if (held != NULL && registers->looks < held->until) {
        keeping = ANSWERED;
        fill_ways(registers, held->oifs, ways);
    }
    pthread_mutex_unlock(&registers->lock);
    return keeping;
}

struct held *answer_held(struct registers *registers, const struct answer *answer)
{
    struct held **place = place_of(registers, answer->key), *held = *place;

    if (held == NULL || held->until || held->led == 0 || held->led > registers->seen)
        return NULL;
    if (!answer->sets || registers->answered >= ANSWERED_MAX) {
        free_held(detach(registers, place));
        return NULL;
    }
    count(&registers->holding, -1);
    count(&registers->answered, 1);
    held->until = look_after_this(registers);
    held->oifs = answer->iif == held->vif ? answer->oifs & ~(UINT32_C(1) << held->vif) : 0;
    return held;
}

static int is_over(const struct registers *registers, const struct held *held, uint64_t now)
{
    if (held->until)
        return held->first == NULL && registers->looks >= held->until;
    return now - held->since >= PATIENCE;
}

/* If nobody said what becomes of them, their packets go, and the kernel asks anew when the next one comes. */
void expire_held(struct registers *registers, uint64_t now)
{
    struct held *expired = NULL, **place, *held;
    size_t i;

    pthread_mutex_lock(&registers->lock);
    for (i = 0; i < HELD_BUCKETS; i++)
        for (place = &registers->streams[i]; (held = *place) != NULL;) {
            if (!is_over(registers, held, now)) {
                place = &held->next;
                continue;
            }
            detach(registers, place);
            held->next = expired;
            expired = held;
        }
    pthread_mutex_unlock(&registers->lock);
    for (; (held = expired) != NULL; free_held(held)) {
        expired = held->next;
        if (!held->until)
            lead(registers, held, -1);
    }
}
