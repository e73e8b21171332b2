/*
 * What a process gives up, so that bytes from the network can do no harm: capabilities, and system calls that
 * routing does not need. All of it holds for good, and for what the process executes later.
 */
#include "mroute.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#endif

#define CAPABILITIES 64 /* numbers that are tried; the kernel refuses those it does not know */

PyObject *mroute_keep_capabilities(PyObject *self, PyObject *args)
{
    PyObject *mask_object;
    long long mask;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    unsigned number;

    (void)self;
    if (!PyArg_ParseTuple(args, "O:keep_capabilities", &mask_object))
        return NULL;
    if (to_number(mask_object, "mask", 0, (1LL << 41) - 1, &mask) < 0)
        return NULL;
    /* The bounding set first, as that needs a capability; without it there is none to be bounded. */
    for (number = 0; number < CAPABILITIES; number++)
        if (!(mask >> number & 1))
            (void)prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capget, &header, data) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    for (number = 0; number < 2; number++) {
        data[number].permitted &= (uint32_t)((unsigned long long)mask >> (32 * number));
        data[number].effective = data[number].permitted;
        data[number].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

PyObject *mroute_die_with_parent(PyObject *self, PyObject *args)
{
    PyObject *signal_object;
    long long number;

    (void)self;
    if (!PyArg_ParseTuple(args, "O:die_with_parent", &signal_object))
        return NULL;
    if (to_number(signal_object, "signal", 0, 64, &number) < 0)
        return NULL;
    if (prctl(PR_SET_PDEATHSIG, (unsigned long)number, 0, 0, 0) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

PyObject *mroute_set_name(PyObject *self, PyObject *args)
{
    const char *name;

    (void)self;
    if (!PyArg_ParseTuple(args, "s:set_name", &name))
        return NULL;
    if (prctl(PR_SET_NAME, name, 0, 0, 0) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

#ifdef ARCHITECTURE

#define FIELD(name) ((uint32_t)offsetof(struct seccomp_data, name))
#define ARGUMENT(index) (FIELD(args) + 8 * (index) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0))
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define GIVE(verdict) BPF_STMT(BPF_RET | BPF_K, (verdict))
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define ALLOW(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), GIVE(SECCOMP_RET_ALLOW)
/* Files may be read, none written or made: the flags are an argument of the call. */
#define READ_ONLY(number, index)                                                        \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 4), LOAD(ARGUMENT(index)),         \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1), GIVE(REFUSE), \
        GIVE(SECCOMP_RET_ALLOW)
/* Signals may be sent to the process itself, which is how a C library aborts. */
#define TO_SELF(number, pid)                                                            \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 4), LOAD(ARGUMENT(0)),             \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (pid), 1, 0), GIVE(REFUSE), GIVE(SECCOMP_RET_ALLOW)

/* A thread may be made, whose flags are an argument; those of clone3 are out of sight, so C libraries are to do without. */
#define NAMESPACES \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define THREAD(number)                                                                  \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 5), LOAD(ARGUMENT(0)),             \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 2), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 1, 0), \
        GIVE(SECCOMP_RET_ALLOW), GIVE(REFUSE)

static long install(void)
{
    const uint32_t pid = (uint32_t)getpid();
    struct sock_filter program[] = {
        LOAD(FIELD(arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        GIVE(SECCOMP_RET_KILL_PROCESS),
        LOAD(FIELD(nr)),
        /* what runs all the time comes first */
#ifdef __NR_epoll_wait
        ALLOW(__NR_epoll_wait),
#endif
        ALLOW(__NR_recvmmsg), ALLOW(__NR_sendmmsg), ALLOW(__NR_setsockopt), ALLOW(__NR_recvmsg), ALLOW(__NR_sendmsg),
        ALLOW(__NR_read), ALLOW(__NR_write), ALLOW(__NR_recvfrom), ALLOW(__NR_sendto), ALLOW(__NR_close),
        ALLOW(__NR_futex), ALLOW(__NR_clock_gettime), ALLOW(__NR_epoll_pwait), ALLOW(__NR_epoll_ctl),
        ALLOW(__NR_timerfd_settime), ALLOW(__NR_getsockopt), ALLOW(__NR_ioctl), ALLOW(__NR_fcntl),
        /* memory */
        ALLOW(__NR_mmap), ALLOW(__NR_munmap), ALLOW(__NR_mremap), ALLOW(__NR_madvise), ALLOW(__NR_brk),
        ALLOW(__NR_mprotect), ALLOW(__NR_membarrier), ALLOW(__NR_rseq), ALLOW(__NR_set_robust_list),
        /* time, chance, and what a process may know of itself */
        ALLOW(__NR_clock_nanosleep), ALLOW(__NR_clock_getres), ALLOW(__NR_nanosleep), ALLOW(__NR_gettimeofday),
        ALLOW(__NR_getrandom), ALLOW(__NR_sched_yield), ALLOW(__NR_sched_getaffinity), ALLOW(__NR_getpid),
        ALLOW(__NR_getppid), ALLOW(__NR_gettid), ALLOW(__NR_getuid), ALLOW(__NR_geteuid), ALLOW(__NR_getgid),
        ALLOW(__NR_getegid), ALLOW(__NR_uname), ALLOW(__NR_sysinfo), ALLOW(__NR_getrusage), ALLOW(__NR_prlimit64),
        ALLOW(__NR_getcwd), ALLOW(__NR_times),
        /* descriptors and sockets; what is to be read of /proc */
        ALLOW(__NR_socket), ALLOW(__NR_socketpair), ALLOW(__NR_bind), ALLOW(__NR_listen), ALLOW(__NR_accept4),
        ALLOW(__NR_accept), ALLOW(__NR_connect), ALLOW(__NR_shutdown), ALLOW(__NR_getsockname),
        ALLOW(__NR_getpeername), ALLOW(__NR_dup), ALLOW(__NR_dup3), ALLOW(__NR_pipe2), ALLOW(__NR_ppoll),
        ALLOW(__NR_pselect6), ALLOW(__NR_epoll_create1), ALLOW(__NR_eventfd2), ALLOW(__NR_timerfd_create),
        ALLOW(__NR_timerfd_gettime), ALLOW(__NR_readv), ALLOW(__NR_writev), ALLOW(__NR_pread64), ALLOW(__NR_lseek),
        ALLOW(__NR_fstat), ALLOW(__NR_newfstatat), ALLOW(__NR_statx), ALLOW(__NR_fstatfs), ALLOW(__NR_faccessat),
        ALLOW(__NR_getdents64), ALLOW(__NR_readlinkat), ALLOW(__NR_fsync), ALLOW(__NR_fdatasync),
#ifdef __NR_poll
        ALLOW(__NR_poll), ALLOW(__NR_select), ALLOW(__NR_stat), ALLOW(__NR_lstat), ALLOW(__NR_access),
        ALLOW(__NR_readlink), ALLOW(__NR_dup2), ALLOW(__NR_pipe), ALLOW(__NR_time), ALLOW(__NR_getpgrp),
        READ_ONLY(__NR_open, 1),
#endif
        READ_ONLY(__NR_openat, 2),
        /* signals, and the end */
        ALLOW(__NR_rt_sigaction), ALLOW(__NR_rt_sigprocmask), ALLOW(__NR_rt_sigreturn), ALLOW(__NR_sigaltstack),
        ALLOW(__NR_restart_syscall), ALLOW(__NR_exit), ALLOW(__NR_exit_group),
        TO_SELF(__NR_kill, pid), TO_SELF(__NR_tgkill, pid),
        /* the register table's thread: no process, and none of its own namespaces */
        THREAD(__NR_clone), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1), GIVE(SECCOMP_RET_ERRNO | ENOSYS),
        GIVE(REFUSE),
    };
    const struct sock_fprog filter = {(unsigned short)(sizeof program / sizeof program[0]), program};

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}

#else

static long install(void)
{
    errno = ENOSYS;
    return -1;
}

#endif

PyObject *mroute_lock_down(PyObject *self, PyObject *args)
{
    (void)self;
    (void)args;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || install() < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}
