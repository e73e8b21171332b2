/* Which (S,G) leave by which tunnel (RFC 7761 4.4.1). Whoever calls has the lock, but at the table's beginning and end. */
#include "registers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

void make_key(const unsigned char *source, const unsigned char *group, int family, unsigned char *key)
{
    size_t size = address_size(family);

    memset(key, 0, KEY);
    memcpy(key, source, size);
    memcpy(key + size, group, size);
}

/* Sources and groups are chosen by strangers: the seed keeps them from choosing the bucket. */
size_t bucket_of(const struct registers *registers, const unsigned char *key, size_t size)
{
    uint64_t hash = registers->seed, word;
    size_t at;

    for (at = 0; at < KEY; at += sizeof word) {
        memcpy(&word, key + at, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
        hash *= registers->seed | 1;
        hash ^= hash >> 29;
    }
    return (size_t)hash & (size - 1);
}

static struct entry **place_of(const struct registers *registers, const unsigned char *key)
{
    struct entry **place = &registers->buckets[bucket_of(registers, key, registers->size)];

    while (*place != NULL && memcmp((*place)->key, key, KEY) != 0)
        place = &(*place)->next;
    return place;
}

struct entry *find_entry(const struct registers *registers, const unsigned char *key) { return *place_of(registers, key); }

/* Twice as many buckets; without memory for them the chains grow longer. */
static void grow(struct registers *registers)
{
    size_t size = registers->size * 2, i;
    struct entry **buckets = calloc(size, sizeof *buckets);

    if (buckets == NULL)
        return;
    for (i = 0; i < registers->size; i++) {
        struct entry *entry = registers->buckets[i], *next;

        for (; entry != NULL; entry = next) {
            struct entry **head = &buckets[bucket_of(registers, entry->key, size)];

            next = entry->next;
            entry->next = *head;
            *head = entry;
        }
    }
    free(registers->buckets);
    registers->buckets = buckets;
    registers->size = size;
}

static struct tunnel *hold_tunnel(struct registers *registers, const struct tunnel *wanted)
{
    struct tunnel *tunnel = registers->tunnels;

    while (tunnel != NULL && (memcmp(tunnel->source, wanted->source, 16) != 0 || memcmp(tunnel->rp, wanted->rp, 16) != 0))
        tunnel = tunnel->next;
    if (tunnel == NULL) {
        tunnel = malloc(sizeof *tunnel);
        if (tunnel == NULL)
            return NULL;
        *tunnel = *wanted;
        tunnel->next = registers->tunnels;
        registers->tunnels = tunnel;
    }
    tunnel->users++;
    return tunnel;
}

static void release_tunnel(struct registers *registers, struct tunnel *tunnel)
{
    struct tunnel **place = &registers->tunnels;

    if (--tunnel->users > 0)
        return;
    while (*place != tunnel)
        place = &(*place)->next;
    *place = tunnel->next;
    free(tunnel);
}

/* Hold one tunnel after the other: 0, or without memory for all none, and ENOMEM. */
static int hold_tunnels(struct registers *registers, const struct tunnel *wanted, unsigned count, struct tunnel **tunnels)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        tunnels[i] = hold_tunnel(registers, &wanted[i]);
        if (tunnels[i] == NULL) {
            while (i > 0)
                release_tunnel(registers, tunnels[--i]);
            return ENOMEM;
        }
    }
    return 0;
}

static void release_tunnels(struct registers *registers, struct tunnel *const *tunnels, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++)
        release_tunnel(registers, tunnels[i]);
}

int set_entry(struct registers *registers, const unsigned char *key, const struct tunnel *wanted, unsigned count,
              int stopped)
{
    struct entry **place = place_of(registers, key), *entry = *place;
    struct tunnel *tunnels[TUNNELS];
    int error;

    if (entry == NULL && registers->count >= registers->limit)
        return ENOSPC;
    error = hold_tunnels(registers, wanted, count, tunnels);
    if (error)
        return error;
    if (entry != NULL) {
        release_tunnels(registers, entry->tunnels, entry->count);
    } else {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL) {
            release_tunnels(registers, tunnels, count);
            return ENOMEM;
        }
        memcpy(entry->key, key, KEY);
        *place = entry;
        if (++registers->count > registers->size)
            grow(registers);
    }
    memcpy(entry->tunnels, tunnels, count * sizeof *tunnels);
    entry->count = count;
    entry->stopped = stopped;
    return 0;
}

unsigned copy_tunnels(const struct entry *entry, struct tunnel *tunnels)
{
    unsigned i;

    for (i = 0; i < entry->count; i++)
        tunnels[i] = *entry->tunnels[i];
    return entry->count;
}

int delete_entry(struct registers *registers, const unsigned char *key)
{
    struct entry **place = place_of(registers, key), *entry = *place;

    if (entry == NULL)
        return 0;
    *place = entry->next;
    registers->count--;
    release_tunnels(registers, entry->tunnels, entry->count);
    free(entry);
    return 1;
}

void free_waiting(struct waiting *waiting)
{
    while (waiting != NULL) {
        struct waiting *next = waiting->next;

        free(waiting);
        waiting = next;
    }
}

void free_registers(struct registers *registers)
{
    size_t i;

    if (registers == NULL)
        return;
    stop_thread(registers);
    for (i = 0; registers->buckets != NULL && i < registers->size; i++)
        while (registers->buckets[i] != NULL)
            delete_entry(registers, registers->buckets[i]->key);
    forget_held(registers);
    free_waiting(registers->first);
    free(registers->buckets);
    free(registers->batch);
    if (registers->ready >= 0)
        close(registers->ready);
    if (registers->wake >= 0)
        close(registers->wake);
    pthread_mutex_destroy(&registers->lock);
    free(registers);
}

struct registers *new_registers(int mroute, int pim, int raw, int family, int protocol, size_t limit, int paused)
{
    struct registers *registers = calloc(1, sizeof *registers);
    int error;

    if (registers == NULL)
        return NULL;
    pthread_mutex_init(&registers->lock, NULL);
    registers->mroute = mroute;
    registers->raw = raw;
    registers->family = family;
    registers->protocol = protocol;
    registers->limit = limit;
    registers->tunnel = -1;
    registers->last = &registers->first;
    registers->output.fd = pim;
    registers->output.family = family;
    registers->size = BUCKETS;
    registers->buckets = calloc(BUCKETS, sizeof *registers->buckets);
    registers->batch = malloc(sizeof *registers->batch);
    registers->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    registers->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (registers->buckets == NULL || registers->batch == NULL)
        error = ENOMEM;
    else if (registers->ready < 0 || registers->wake < 0)
        error = errno;
    else if (getrandom(&registers->seed, sizeof registers->seed, 0) != sizeof registers->seed)
        error = EIO;
    else
        error = paused ? 0 : start_thread(registers);
    if (error) {
        free_registers(registers);
        errno = error;
        return NULL;
    }
    return registers;
}
