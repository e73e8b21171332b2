/*
 * What follows when the core has answered for a held stream: its packets, in the order in which they came.
 *
 * The next router may be new to the stream as well, and its kernel keeps four packets of it: so a few go at once, and the
 * rest when that router has had a moment to ask for them.
 */
#include "registers.h"

#include <stddef.h>
#include <time.h>

#define AT_ONCE 3               /* packets */
#define PAUSE UINT64_C(3000000) /* nanoseconds */

/* Where the packets of a stream go: to the RP, if they are registered, and by interfaces. */
struct course {
    unsigned count; /* of tunnels, 0: not registered */
    struct tunnel tunnels[TUNNELS];
    struct ways ways;
};

static uint64_t precise_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void fill_ways(const struct registers *registers, uint32_t oifs, struct ways *ways)
{
    *ways = registers->vifs;
    ways->oifs = oifs;
    if (registers->tunnel >= 0)
        ways->oifs &= ~(UINT32_C(1) << registers->tunnel);
}

void forward_by(const struct registers *registers, const struct ways *ways, const unsigned char *packet, size_t length)
{
    unsigned ttl = packet[registers->family == AF_INET ? 8 : 7];
    int vif;

    for (vif = 0; vif < VIFS; vif++)
        if (ways->oifs >> vif & 1 && ways->devices[vif] != 0 && ttl >= ways->thresholds[vif])
            forward_packet(registers->raw, registers->family, ways->devices[vif], packet, length);
}

/* By the stream's answer and the register table, where these packets are counted. Whoever calls has the lock. */
static void find_course(struct registers *registers, const struct held *held, const struct kept *kept, struct course *course)
{
    struct entry *entry = find_entry(registers, held->key);
    uint32_t too = entry != NULL && entry->until == 0 ? entry->oifs : 0;

    fill_ways(registers, held->oifs | too, &course->ways);
    course->count = 0;
    if (entry == NULL || entry->stopped || registers->tunnel < 0 || !(held->oifs >> registers->tunnel & 1))
        return;
    course->count = copy_tunnels(entry, course->tunnels);
    for (; kept != NULL; kept = kept->next) {
        registers->totals[SENT_ALL] += course->count;
        entry->packets++;
        entry->bytes += kept->length;
    }
}

/* Its Register goes before its copies: see `follow`. */
static void send_on(const struct registers *registers, struct output *output, const struct course *course, struct kept *kept)
{
    enum encapsulated done = TOO_BIG;

    if (course->count > 0)
        done = encapsulate(output, course->tunnels, course->count, kept->packet, kept->length);
    if (course->ways.oifs == 0 || done == TTL_SPENT)
        return;
    flush(output);
    if (done == SENT || take_hop(registers->family, kept->packet, kept->length))
        forward_by(registers, &course->ways, kept->packet, kept->length);
}

static void send_kept(const struct registers *registers, struct output *output, struct course *course, struct kept *first)
{
    struct kept *kept;
    unsigned i;

    for (i = 0; i < course->count; i++)
        if (course->tunnels[i].asked == 0)
            course->tunnels[i].mtu = path_mtu(&course->tunnels[i], registers->family);
    for (kept = first; kept != NULL; kept = kept->next)
        send_on(registers, output, course, kept);
    flush(output);
    free_kept(first);
}

/* The few that go at once; the rest stays, and is due after a pause. Whoever calls has the lock. */
static struct kept *take_few(struct registers *registers, struct held *held)
{
    struct kept *first = held->first, **end = &first;
    struct held **place = &registers->due;
    int count;

    for (count = 0; count < AT_ONCE && *end != NULL; count++)
        end = &(*end)->next;
    if (*end == NULL)
        return take_kept(registers, held);
    held->first = *end;
    *end = NULL;
    while (*place != NULL)
        place = &(*place)->next_due;
    *place = held;
    held->due = precise_now() + PAUSE;
    return first;
}

void release_stream(struct registers *registers, struct output *output, const struct answer *answer)
{
    struct course course = {0};
    struct kept *first = NULL;
    struct held *held;

    pthread_mutex_lock(&registers->lock);
    held = answer_held(registers, answer);
    if (held != NULL && held->oifs == 0) {
        first = take_kept(registers, held); /* nobody wants it */
    } else if (held != NULL) {
        first = take_few(registers, held);
        find_course(registers, held, first, &course);
    }
    pthread_mutex_unlock(&registers->lock);
    send_kept(registers, output, &course, first);
}

void forget_due(struct registers *registers, struct held *held)
{
    struct held **place = &registers->due;

    while (*place != NULL && *place != held)
        place = &(*place)->next_due;
    if (*place != NULL) {
        *place = held->next_due;
        held->next_due = NULL;
    }
}

int send_due(struct registers *registers)
{
    struct course course = {0};
    struct kept *first;
    struct held *held;
    uint64_t now;

    for (;;) {
        now = precise_now();
        pthread_mutex_lock(&registers->lock);
        held = registers->due;
        if (held == NULL || held->due > now) {
            int wait = held == NULL ? -1 : (int)((held->due - now) / 1000000) + 1;

            pthread_mutex_unlock(&registers->lock);
            return wait;
        }
        forget_due(registers, held);
        first = take_kept(registers, held);
        find_course(registers, held, first, &course);
        pthread_mutex_unlock(&registers->lock);
        send_kept(registers, &registers->output, &course, first);
    }
}
