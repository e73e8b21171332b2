/* A timer that is a descriptor: what coalesces needs no clock and no event loop of its own. */
#include "mroute.h"

#include <string.h>
#include <sys/timerfd.h>

PyObject *mroute_timer_open(PyObject *self, PyObject *args)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    (void)self;
    (void)args;
    return fd < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(fd);
}

PyObject *mroute_timer_set(PyObject *self, PyObject *args)
{
    PyObject *fd_object, *milliseconds_object;
    struct itimerspec value;
    long long milliseconds;
    int fd;

    (void)self;
    if (!PyArg_ParseTuple(args, "OO:timer_set", &fd_object, &milliseconds_object))
        return NULL;
    if (to_descriptor(fd_object, &fd) < 0 ||
        to_number(milliseconds_object, "milliseconds", 0, 86400000, &milliseconds) < 0)
        return NULL;
    memset(&value, 0, sizeof value);
    value.it_value.tv_sec = (time_t)(milliseconds / 1000);
    value.it_value.tv_nsec = (long)(milliseconds % 1000) * 1000000;
    if (timerfd_settime(fd, 0, &value, NULL) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}
