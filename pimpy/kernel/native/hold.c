/*
 * Streams that the kernel has no entry for, held until the core has said what becomes of them.
 *
 * The kernel itself keeps four packets of such a stream and drops the rest. So the thread answers its question at once
 * by an entry that leads to the register tunnel and nowhere else, by which every further packet is handed up, and
 * keeps them. When the core's entry stands, what was kept goes where that entry sends it.
 */
#include "registers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_MAX 1024
#define STREAM_MAX (1u << 20) /* bytes of one stream, with what a packet needs beside */
#define KEPT_MAX (8u << 20)   /* of all */
#define PATIENCE UINT64_C(10000000000) /* nanoseconds, as the kernel's own */

struct kept {
    struct kept *next;
    size_t length;
    unsigned char packet[];
};

static struct held **place_of(struct registers *registers, const unsigned char *key)
{
    struct held **place = &registers->streams[bucket_of(registers, key, HELD_BUCKETS)];

    while (*place != NULL && memcmp((*place)->key, key, KEY) != 0)
        place = &(*place)->next;
    return place;
}

static struct held *detach(struct registers *registers, struct held **place)
{
    struct held *held = *place;

    *place = held->next;
    __atomic_fetch_sub(&registers->holding, 1, __ATOMIC_RELAXED);
    registers->kept -= held->bytes;
    return held;
}

static void free_held(struct held *held)
{
    while (held->first != NULL) {
        struct kept *next = held->first->next;

        free(held->first);
        held->first = next;
    }
    free(held);
}

void forget_held(struct registers *registers)
{
    size_t i;

    for (i = 0; i < HELD_BUCKETS; i++)
        while (registers->streams[i] != NULL)
            free_held(detach(registers, &registers->streams[i]));
}

static void lead(const struct registers *registers, const struct held *held, int tunnel)
{
    size_t size = address_size(registers->family);

    (void)write_mfc(registers->mroute, registers->family, held->key, held->key + size, held->vif, tunnel);
}

void hold_stream(struct registers *registers, const struct message *message, uint64_t now)
{
    struct held *held = calloc(1, sizeof *held), copy, **place;
    int tunnel = -1;

    if (held == NULL)
        return;
    make_key(message->source, message->destination, registers->family, held->key);
    held->vif = (int)message->index;
    held->since = now;
    held->last = &held->first;
    copy = *held;
    pthread_mutex_lock(&registers->lock);
    place = place_of(registers, held->key);
    if (registers->tunnel >= 0 && registers->holding < STREAMS_MAX && *place == NULL) {
        tunnel = registers->tunnel;
        *place = held;
        __atomic_fetch_add(&registers->holding, 1, __ATOMIC_RELAXED);
        held = NULL;
    }
    pthread_mutex_unlock(&registers->lock);
    free(held);
    /* The owner hears of the stream after this, and writes its entry over it. */
    if (tunnel >= 0)
        lead(registers, &copy, tunnel);
}

int keep_packet(struct registers *registers, const struct message *message)
{
    unsigned char key[KEY];
    struct kept *kept;
    struct held *held;
    size_t bytes = sizeof *kept + message->length;

    make_key(message->source, message->destination, registers->family, key);
    pthread_mutex_lock(&registers->lock);
    held = *place_of(registers, key);
    if (held != NULL) {
        kept = held->bytes + bytes > STREAM_MAX || registers->kept + bytes > KEPT_MAX ? NULL : malloc(bytes);
        if (kept != NULL) {
            kept->next = NULL;
            kept->length = message->length;
            memcpy(kept->packet, message->data, message->length);
            *held->last = kept;
            held->last = &kept->next;
            held->bytes += bytes;
            registers->kept += bytes;
        } else {
            registers->totals[DROP_HELD]++;
        }
    }
    pthread_mutex_unlock(&registers->lock);
    return held != NULL;
}

/* Nobody said what becomes of them: their packets go, and the kernel asks anew when the next one comes. */
void expire_held(struct registers *registers, uint64_t now)
{
    struct held *expired = NULL, **place, *held;
    size_t i;

    pthread_mutex_lock(&registers->lock);
    for (i = 0; i < HELD_BUCKETS; i++)
        for (place = &registers->streams[i]; (held = *place) != NULL;) {
            if (now - held->since < PATIENCE) {
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
        lead(registers, held, -1);
    }
}

/* What the entry says of a packet that came in by the stream's interface. */
static void send_on(struct release *release, const struct registers *registers, const struct answer *answer,
                    const struct tunnel *tunnels, unsigned count, struct kept *kept)
{
    enum encapsulated done = TOO_BIG;
    int vif;

    if (count > 0)
        done = encapsulate(&release->output, tunnels, count, kept->packet, kept->length);
    if (done == TTL_SPENT || (done == TOO_BIG && !take_hop(registers->family, kept->packet, kept->length)))
        return;
    for (vif = 0; vif < VIFS; vif++)
        if (answer->oifs >> vif & 1 && release->devices[vif] != 0)
            forward_packet(registers->raw, registers->family, release->devices[vif], kept->packet, kept->length);
}

void release_stream(struct registers *registers, struct release *release, const struct answer *answer)
{
    struct held **place, *held = NULL;
    struct tunnel tunnels[TUNNELS];
    struct entry *entry;
    struct kept *kept;
    unsigned count = 0, i;
    int wanted = 0;

    pthread_mutex_lock(&registers->lock);
    place = place_of(registers, answer->key);
    if (*place != NULL) {
        held = detach(registers, place);
        entry = find_entry(registers, answer->key);
        wanted = answer->sets && answer->iif == held->vif;
        if (wanted && entry != NULL && !entry->stopped && registers->tunnel >= 0 &&
            (answer->oifs >> registers->tunnel & 1)) {
            count = copy_tunnels(entry, tunnels);
            for (kept = held->first; kept != NULL; kept = kept->next) {
                registers->totals[SENT_ALL] += count;
                entry->packets++;
                entry->bytes += kept->length;
            }
        }
    }
    pthread_mutex_unlock(&registers->lock);
    if (held == NULL)
        return;
    for (i = 0; i < count; i++)
        if (tunnels[i].asked == 0)
            tunnels[i].mtu = path_mtu(&tunnels[i], registers->family);
    if (wanted)
        for (kept = held->first; kept != NULL; kept = kept->next)
            send_on(release, registers, answer, tunnels, count, kept);
    flush(&release->output);
    free_held(held);
}
