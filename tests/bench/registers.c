/*
 * For registers.py: a paced sender, and the bare limit that pimpyd and FRR are measured against.
 *
 *   registers send FAMILY INTERFACE SOURCE GROUP RATE COUNT SIZE   sends UDP; prints how many were sent, and in what time
 *   registers bare FAMILY INTERFACE SOURCE GROUP ADDRESS RP        takes the table, and does nothing but recvmmsg and sendmmsg
 *
 * SIZE is that of the whole IP packet. `bare` knows its one stream beforehand and checks nothing.
 */
#include <arpa/inet.h>
#include <linux/mroute.h>
#include <linux/mroute6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32
#define SLOT 2048
#define HEADER 8
#define PORT 5000

static int family;

static void check(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static socklen_t address(const char *text, int port, struct sockaddr_storage *to)
{
    void *at;

    memset(to, 0, sizeof *to);
    to->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        ((struct sockaddr_in *)to)->sin_port = htons((uint16_t)port);
        at = &((struct sockaddr_in *)to)->sin_addr;
    } else {
        ((struct sockaddr_in6 *)to)->sin6_port = htons((uint16_t)port);
        at = &((struct sockaddr_in6 *)to)->sin6_addr;
    }
    check(inet_pton(family, text, at) == 1 ? 0 : -1, text);
    return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int send_stream(char **words)
{
    int fd = socket(family, SOCK_DGRAM, 0), size = 4 << 20, ttl = 16, index = (int)if_nametoindex(words[0]);
    long rate = atol(words[3]), count = atol(words[4]), length = atol(words[5]) - (family == AF_INET ? 28 : 48), sent = 0;
    struct sockaddr_storage from, to;
    char data[SLOT] = "";
    struct iovec vector = {data, (size_t)length};
    struct mmsghdr headers[BATCH];
    socklen_t named;
    double started;
    int i;

    check(fd, "socket");
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (family == AF_INET) {
        struct ip_mreqn leave = {.imr_ifindex = index};

        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl);
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &leave, sizeof leave);
    } else {
        setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &ttl, sizeof ttl);
        setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index);
    }
    named = address(words[1], 0, &from);
    check(bind(fd, (struct sockaddr *)&from, named), "bind");
    address(words[2], PORT, &to);
    memset(headers, 0, sizeof headers);
    for (i = 0; i < BATCH; i++)
        headers[i].msg_hdr = (struct msghdr){.msg_name = &to, .msg_namelen = named, .msg_iov = &vector, .msg_iovlen = 1};
    started = now();
    while (sent < count) {
        long due = (long)((now() - started) * (double)rate) - sent;
        int part, done;

        if (due > count - sent)
            due = count - sent;
        if (due < 4 && due < count - sent) {
            usleep(100);
            continue;
        }
        part = due < BATCH ? (int)due : BATCH;
        done = sendmmsg(fd, headers, (unsigned)part, 0);
        check(done, "sendmmsg");
        sent += done;
    }
    printf("%ld %.6f\n", sent, now() - started);
    return 0;
}

/* The routing table with one stream that goes into the register tunnel. */
static int table(char **words)
{
    int fd = socket(family, SOCK_RAW, family == AF_INET ? IPPROTO_IGMP : IPPROTO_ICMPV6), one = 1, size = 8 << 20;
    struct sockaddr_storage source, group;

    check(fd, "socket");
    check(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size), "buffer");
    address(words[1], 0, &source);
    address(words[2], 0, &group);
    if (family == AF_INET) {
        struct vifctl vif = {.vifc_vifi = 0, .vifc_flags = VIFF_USE_IFINDEX, .vifc_threshold = 1};
        struct vifctl tunnel = {.vifc_vifi = 1, .vifc_flags = VIFF_REGISTER, .vifc_threshold = 1};
        struct mfcctl entry = {.mfcc_parent = 0};

        vif.vifc_lcl_ifindex = (int)if_nametoindex(words[0]);
        entry.mfcc_origin = ((struct sockaddr_in *)&source)->sin_addr;
        entry.mfcc_mcastgrp = ((struct sockaddr_in *)&group)->sin_addr;
        entry.mfcc_ttls[1] = 1;
        check(setsockopt(fd, IPPROTO_IP, MRT_INIT, &one, sizeof one), "init");
        check(setsockopt(fd, IPPROTO_IP, MRT_PIM, &one, sizeof one), "pim");
        check(setsockopt(fd, IPPROTO_IP, MRT_ADD_VIF, &vif, sizeof vif), "vif");
        check(setsockopt(fd, IPPROTO_IP, MRT_ADD_VIF, &tunnel, sizeof tunnel), "tunnel");
        check(setsockopt(fd, IPPROTO_IP, MRT_ADD_MFC, &entry, sizeof entry), "entry");
    } else {
        struct mif6ctl vif = {.mif6c_mifi = 0, .vifc_threshold = 1};
        struct mif6ctl tunnel = {.mif6c_mifi = 1, .mif6c_flags = MIFF_REGISTER, .vifc_threshold = 1};
        struct mf6cctl entry = {.mf6cc_parent = 0};

        vif.mif6c_pifi = (uint16_t)if_nametoindex(words[0]);
        entry.mf6cc_origin = *(struct sockaddr_in6 *)&source;
        entry.mf6cc_mcastgrp = *(struct sockaddr_in6 *)&group;
        IF_SET(1, &entry.mf6cc_ifset);
        check(setsockopt(fd, IPPROTO_IPV6, MRT6_INIT, &one, sizeof one), "init");
        check(setsockopt(fd, IPPROTO_IPV6, MRT6_PIM, &one, sizeof one), "pim");
        check(setsockopt(fd, IPPROTO_IPV6, MRT6_ADD_MIF, &vif, sizeof vif), "vif");
        check(setsockopt(fd, IPPROTO_IPV6, MRT6_ADD_MIF, &tunnel, sizeof tunnel), "tunnel");
        check(setsockopt(fd, IPPROTO_IPV6, MRT6_ADD_MFC, &entry, sizeof entry), "entry");
    }
    return fd;
}

_Noreturn static void bare(char **words)
{
    static unsigned char slots[BATCH][SLOT], header[HEADER] = {0x21, 0, 0xde, 0xff};
    int in = table(words), out = socket(family, SOCK_RAW, IPPROTO_PIM), i;
    size_t upcall = family == AF_INET ? sizeof(struct igmpmsg) : sizeof(struct mrt6msg);
    struct mmsghdr received[BATCH], sent[BATCH];
    struct iovec in_vectors[BATCH], out_vectors[BATCH][2];
    struct sockaddr_storage from, rp;
    socklen_t named = address(words[3], 0, &from);

    check(out, "socket");
    check(bind(out, (struct sockaddr *)&from, named), "bind");
    address(words[4], 0, &rp);
    memset(received, 0, sizeof received);
    memset(sent, 0, sizeof sent);
    for (i = 0; i < BATCH; i++) {
        in_vectors[i] = (struct iovec){slots[i], SLOT};
        received[i].msg_hdr = (struct msghdr){.msg_iov = &in_vectors[i], .msg_iovlen = 1};
        out_vectors[i][0] = (struct iovec){header, HEADER};
        sent[i].msg_hdr =
            (struct msghdr){.msg_name = &rp, .msg_namelen = named, .msg_iov = out_vectors[i], .msg_iovlen = 2};
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int count = recvmmsg(in, received, BATCH, MSG_WAITFORONE, NULL), registers = 0;

        for (i = 0; i < count; i++) {
            if (received[i].msg_len <= upcall || slots[i][family == AF_INET ? 9 : 0] != 0)
                continue; /* a report of somebody */
            out_vectors[registers++][1] = (struct iovec){slots[i] + upcall, received[i].msg_len - upcall};
        }
        for (i = 0; i < registers;) {
            int done = sendmmsg(out, sent + i, (unsigned)(registers - i), 0);

            i += done > 0 ? done : 1;
        }
    }
}

int main(int count, char **words)
{
    if (count < 3)
        return 2;
    family = atoi(words[2]) == 4 ? AF_INET : AF_INET6;
    if (strcmp(words[1], "send") == 0 && count == 9)
        return send_stream(words + 3);
    if (strcmp(words[1], "bare") == 0 && count == 8)
        bare(words + 3);
    return 2;
}
