/*
 * pimpy.kernel._mroute: what runs per packet or per forwarding entry, and nothing else.
 *
 * The extension holds no policy and no callbacks, and its only state is a register table. Every function takes
 * the descriptors it works on, checks every number and length that comes from its caller or from the kernel, and
 * fails with OSError, ValueError or TypeError. Batched system calls run without the GIL.
 *
 * module.c    the table of functions; conversions of arguments
 * control.c   the routing table: taking and giving it back, virtual interfaces
 * mfc.c       forwarding entries, written in batches
 * dump.c      the whole forwarding cache with its counters, read by netlink
 * receive.c   packets and the kernel's upcalls, received in batches
 * decode.c    the checks and the decoding of what receive.c received
 * send.c      packets, sent in batches
 * registers.c a register table with its thread, as an object
 * table.c     the table itself
 * pump.c      its thread, which takes what the kernel hands up for the register tunnel
 * hold.c      packets of streams that the kernel has no entry for yet
 * follow.c    what becomes of them
 * tunnel.c    Registers: what a data packet becomes on its way to the RP
 * timer.c     a timer that is a descriptor
 * confine.c   what a process gives up: capabilities, system calls
 */
#ifndef PIMPY_MROUTE_H
#define PIMPY_MROUTE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define VIFS 32 /* MAXVIFS and MAXMIFS: what an interface mask holds */
#define IP4_HEADER 20
#define IP6_HEADER 40
#define UPCALL6 40 /* struct mrt6msg */

/* What a received message is: an IP protocol number, or an upcall of the kernel (UPCALL plus its type). */
#define KIND_IGMP IPPROTO_IGMP
#define KIND_MLD IPPROTO_ICMPV6
#define KIND_PIM IPPROTO_PIM
#define UPCALL 1000
#define UPCALL_NOCACHE 1
#define UPCALL_WRONGVIF 2
#define UPCALL_WHOLEPKT 3
#define UPCALL_WRVIFWHOLE 4

/* A message as decode.c found it; the pointers lead into the buffer that it was decoded from. */
struct message {
    int kind;
    uint32_t index; /* ifindex of a packet, virtual interface of an upcall */
    const unsigned char *source;
    const unsigned char *destination;
    int ttl;
    int router_alert;
    const unsigned char *data;
    size_t length;
};

/* A packet to be sent. With ifindex 0 the routes decide, with ttl 0 the socket. */
struct packet {
    uint32_t ifindex;
    int ttl;
    const unsigned char *source, *destination, *data; /* the caller holds the objects */
    size_t length;
    int error;
};

/* What the kernel says about an IPv6 packet beside its bytes. */
struct ancillary {
    uint32_t ifindex; /* 0: not told */
    int hop_limit;    /* -1: not told */
    const unsigned char *source;
    const unsigned char *destination;
    const unsigned char *hop_options;
    size_t hop_options_length;
};

/* Conversions: 0 if done, -1 with an exception set. None of them runs Python code. */
int to_number(PyObject *value, const char *name, long long low, long long high, long long *result);
int to_descriptor(PyObject *value, int *result);
int to_family(PyObject *value, int *result);
int to_bytes(PyObject *value, const char *name, Py_ssize_t size, const unsigned char **result);
Py_ssize_t change_fields(PyObject *item);
int to_list(PyObject *value, const char *name, PyObject **result);

static inline size_t address_size(int family) { return family == AF_INET ? 4 : 16; }

/* Whether the bytes are a message to hand on: 1, with `message` filled, or 0 if they are malformed. */
int decode4(const unsigned char *bytes, size_t length, int protocol, uint32_t ifindex, struct message *message);
int decode6(const unsigned char *bytes, size_t length, int protocol, const struct ancillary *told, struct message *message);
/* The length of the IP packet that begins here, 0 if it is malformed. */
size_t sound_packet(int family, const unsigned char *at, size_t length);
PyObject *message_tuple(const struct message *message, int family);

/* Address a message whose name and control buffer are there: room for an in6_pktinfo, and zeroed. */
void address_packet(struct msghdr *header, int family, const struct packet *packet);

/* One more number beside such a message, for which the control buffer has room too. */
void add_number(struct msghdr *header, int level, int type, int value);

/* Set an entry that leads to one vif, or with `oif` -1 delete it: 0, or -1 with errno. Needs no GIL. */
int write_mfc(int fd, int family, const unsigned char *source, const unsigned char *group, int iif, int oif);

/* Whether an entry stands. Needs no GIL. */
int has_mfc(int fd, int family, const unsigned char *source, const unsigned char *group);

/* Make the type of register tables and add it to the module: 0, or -1 with an exception set. */
int add_registers(PyObject *module);

PyObject *mroute_init(PyObject *self, PyObject *args);
PyObject *mroute_set_pim(PyObject *self, PyObject *args);
PyObject *mroute_done(PyObject *self, PyObject *args);
PyObject *mroute_flush(PyObject *self, PyObject *args);
PyObject *mroute_add_vif(PyObject *self, PyObject *args);
PyObject *mroute_del_vif(PyObject *self, PyObject *args);
PyObject *mroute_change_mfc(PyObject *self, PyObject *args);
PyObject *mroute_dump_mfc(PyObject *self, PyObject *args);
PyObject *mroute_count_mfc(PyObject *self, PyObject *args);
PyObject *mroute_decode_mfc(PyObject *self, PyObject *args);
PyObject *mroute_receive(PyObject *self, PyObject *args);
PyObject *mroute_decode(PyObject *self, PyObject *args);
PyObject *mroute_send(PyObject *self, PyObject *args);
PyObject *mroute_encapsulate(PyObject *self, PyObject *args);
PyObject *mroute_timer_open(PyObject *self, PyObject *args);
PyObject *mroute_timer_set(PyObject *self, PyObject *args);
PyObject *mroute_keep_capabilities(PyObject *self, PyObject *args);
PyObject *mroute_die_with_parent(PyObject *self, PyObject *args);
PyObject *mroute_set_name(PyObject *self, PyObject *args);
PyObject *mroute_lock_down(PyObject *self, PyObject *args);

#endif
