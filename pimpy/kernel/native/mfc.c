/* Forwarding entries, written in batches: one call of ours, one system call per entry, no GIL. */
#include "mroute.h"

#include <errno.h>
#include <linux/mroute.h>
#include <linux/mroute6.h>
#include <string.h>
#include <sys/ioctl.h>

struct change {
    int deletes;
    int iif;
    uint32_t oifs;
    int error;
    unsigned char source[16];
    unsigned char group[16];
};

/* Of (source, group) or (source, group, iif, oifs): 2 or 4, or -1 with an exception. */
Py_ssize_t change_fields(PyObject *item)
{
    Py_ssize_t fields;

    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a change must be a tuple");
        return -1;
    }
    fields = PyTuple_Size(item);
    if (fields != 2 && fields != 4) {
        PyErr_Format(PyExc_ValueError, "a change must have 2 or 4 fields, not %zd", fields);
        return -1;
    }
    return fields;
}

static int to_change(PyObject *item, int family, struct change *change)
{
    const unsigned char *source, *group;
    long long iif = 0, oifs = 0;
    size_t size = address_size(family);
    Py_ssize_t fields;

    fields = change_fields(item);
    if (fields < 0)
        return -1;
    if (to_bytes(PyTuple_GetItem(item, 0), "source", (Py_ssize_t)size, &source) < 0 ||
        to_bytes(PyTuple_GetItem(item, 1), "group", (Py_ssize_t)size, &group) < 0)
        return -1;
    if (fields == 4 && (to_number(PyTuple_GetItem(item, 2), "iif", 0, UINT16_MAX, &iif) < 0 ||
                        to_number(PyTuple_GetItem(item, 3), "oifs", 0, UINT32_MAX, &oifs) < 0))
        return -1;
    change->deletes = fields == 2;
    change->iif = (int)iif;
    change->oifs = (uint32_t)oifs;
    memcpy(change->source, source, size);
    memcpy(change->group, group, size);
    return 0;
}

static int apply4(int fd, const struct change *change, const unsigned char *thresholds)
{
    struct mfcctl control;
    int vif;

    memset(&control, 0, sizeof control);
    memcpy(&control.mfcc_origin, change->source, 4);
    memcpy(&control.mfcc_mcastgrp, change->group, 4);
    control.mfcc_parent = (vifi_t)change->iif;
    for (vif = 0; vif < VIFS; vif++)
        if (change->oifs >> vif & 1)
            control.mfcc_ttls[vif] = thresholds[vif];
    return setsockopt(fd, IPPROTO_IP, change->deletes ? MRT_DEL_MFC : MRT_ADD_MFC, &control, sizeof control);
}

static int apply6(int fd, const struct change *change)
{
    struct mf6cctl control;

    _Static_assert(sizeof control.mf6cc_ifset.ifs_bits[0] * 8 == VIFS, "one word holds an interface mask");
    memset(&control, 0, sizeof control);
    control.mf6cc_origin.sin6_family = AF_INET6;
    memcpy(&control.mf6cc_origin.sin6_addr, change->source, 16);
    control.mf6cc_mcastgrp.sin6_family = AF_INET6;
    memcpy(&control.mf6cc_mcastgrp.sin6_addr, change->group, 16);
    control.mf6cc_parent = (mifi_t)change->iif;
    control.mf6cc_ifset.ifs_bits[0] = change->oifs; /* IF_SET() would shift into the sign bit */
    return setsockopt(fd, IPPROTO_IPV6, change->deletes ? MRT6_DEL_MFC : MRT6_ADD_MFC, &control, sizeof control);
}

int write_mfc(int fd, int family, const unsigned char *source, const unsigned char *group, int iif, int oif)
{
    static const unsigned char thresholds[VIFS] = {[0 ... VIFS - 1] = 1};
    struct change change = {.deletes = oif < 0, .iif = iif, .oifs = oif < 0 ? 0 : UINT32_C(1) << oif};

    memcpy(change.source, source, address_size(family));
    memcpy(change.group, group, address_size(family));
    return family == AF_INET ? apply4(fd, &change, thresholds) : apply6(fd, &change);
}

int has_mfc(int fd, int family, const unsigned char *source, const unsigned char *group)
{
    struct sioc_sg_req in4 = {.pktcnt = 0};
    struct sioc_sg_req6 in6 = {.pktcnt = 0};

    if (family == AF_INET) {
        memcpy(&in4.src, source, 4);
        memcpy(&in4.grp, group, 4);
        return ioctl(fd, SIOCGETSGCNT, &in4) == 0;
    }
    in6.src.sin6_family = in6.grp.sin6_family = AF_INET6;
    memcpy(&in6.src.sin6_addr, source, 16);
    memcpy(&in6.grp.sin6_addr, group, 16);
    return ioctl(fd, SIOCGETSGCNT_IN6, &in6) == 0;
}

static void apply(int fd, int family, struct change *changes, Py_ssize_t count, const unsigned char *thresholds)
{
    Py_ssize_t i;

    for (i = 0; i < count; i++) {
        int result = family == AF_INET ? apply4(fd, &changes[i], thresholds) : apply6(fd, &changes[i]);

        changes[i].error = result < 0 ? errno : 0;
    }
}

static PyObject *errors_of(const struct change *changes, Py_ssize_t count)
{
    PyObject *result = PyList_New(count);
    Py_ssize_t i;

    for (i = 0; result != NULL && i < count; i++) {
        PyObject *error = PyLong_FromLong(changes[i].error);

        if (error == NULL || PyList_SetItem(result, i, error) < 0)
            Py_CLEAR(result);
    }
    return result;
}

/* All changes are checked before the first is made. */
PyObject *mroute_change_mfc(PyObject *self, PyObject *args)
{
    PyObject *fd_object, *family_object, *list, *thresholds_object, *items, *result = NULL;
    const unsigned char *given;
    unsigned char thresholds[VIFS];
    struct change *changes;
    Py_ssize_t count, i;
    int fd, family;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOOO:change_mfc", &fd_object, &family_object, &list, &thresholds_object))
        return NULL;
    if (to_descriptor(fd_object, &fd) < 0 || to_family(family_object, &family) < 0 ||
        to_bytes(thresholds_object, "thresholds", VIFS, &given) < 0 || to_list(list, "changes", &items) < 0)
        return NULL;
    memcpy(thresholds, given, VIFS);
    count = PyTuple_Size(items);
    changes = PyMem_Calloc(count > 0 ? (size_t)count : 1, sizeof *changes);
    if (changes == NULL) {
        PyErr_NoMemory();
        goto out;
    }
    for (i = 0; i < count; i++)
        if (to_change(PyTuple_GetItem(items, i), family, &changes[i]) < 0)
            goto out;
    Py_BEGIN_ALLOW_THREADS
    apply(fd, family, changes, count, thresholds);
    Py_END_ALLOW_THREADS
    result = errors_of(changes, count);
out:
    PyMem_Free(changes);
    Py_DECREF(items);
    return result;
}
