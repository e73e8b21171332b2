/* The routing table of a socket: taking it, giving it back, its virtual interfaces. */
#include "mroute.h"

#include <errno.h>
#include <linux/mroute.h>
#include <linux/mroute6.h>
#include <string.h>

/* Header files may be older than the kernel. */
#ifndef MRT_FLUSH
#define MRT_FLUSH (MRT_BASE + 12)
#endif
#ifndef MRT6_FLUSH
#define MRT6_FLUSH (MRT6_BASE + 12)
#endif
#ifndef VIFF_USE_IFINDEX
#define VIFF_USE_IFINDEX 8
#endif

#define TABLE_MAX 999999999 /* ipmr_new_table() names the register tunnel pimreg%u within IFNAMSIZ */

static int set_option(int fd, int family, int option, const void *value, socklen_t length)
{
    int result;

    Py_BEGIN_ALLOW_THREADS
    result = setsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, option, value, length);
    Py_END_ALLOW_THREADS
    return result;
}

static PyObject *none_or_error(int result)
{
    if (result < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *set_number(int fd, int family, int option4, int option6, int value)
{
    return none_or_error(set_option(fd, family, family == AF_INET ? option4 : option6, &value, sizeof value));
}

PyObject *mroute_init(PyObject *self, PyObject *args)
{
    PyObject *fd_object, *family_object, *table_object;
    int fd, family;
    long long number;
    uint32_t table;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOO:init", &fd_object, &family_object, &table_object))
        return NULL;
    if (to_descriptor(fd_object, &fd) < 0 || to_family(family_object, &family) < 0 ||
        to_number(table_object, "table", 0, TABLE_MAX, &number) < 0)
        return NULL;
    table = (uint32_t)number;
    /* A kernel without several tables does not know the option: it is left out for the default table. */
    if (table != 0 && set_option(fd, family, family == AF_INET ? MRT_TABLE : MRT6_TABLE, &table, sizeof table) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return set_number(fd, family, MRT_INIT, MRT6_INIT, 1);
}

PyObject *mroute_set_pim(PyObject *self, PyObject *args)
{
    PyObject *fd_object, *family_object, *mode_object;
    int fd, family;
    long long mode;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOO:set_pim", &fd_object, &family_object, &mode_object))
        return NULL;
    if (to_descriptor(fd_object, &fd) < 0 || to_family(family_object, &family) < 0 ||
        to_number(mode_object, "mode", 0, UPCALL_WRVIFWHOLE, &mode) < 0)
        return NULL;
    return set_number(fd, family, MRT_PIM, MRT6_PIM, (int)mode);
}

PyObject *mroute_done(PyObject *self, PyObject *args)
{
    PyObject *fd_object, *family_object;
    int fd, family;

    (void)self;
    if (!PyArg_ParseTuple(args, "OO:done", &fd_object, &family_object))
        return NULL;
    if (to_descriptor(fd_object, &fd) < 0 || to_family(family_object, &family) < 0)
        return NULL;
    return set_number(fd, family, MRT_DONE, MRT6_DONE, 0);
}

PyObject *mroute_flush(PyObject *self, PyObject *args)
{
    PyObject *fd_object, *family_object, *what_object;
    int fd, family;
    long long what;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOO:flush", &fd_object, &family_object, &what_object))
        return NULL;
    if (to_descriptor(fd_object, &fd) < 0 || to_family(family_object, &family) < 0 ||
        to_number(what_object, "what", 1, 15, &what) < 0)
        return NULL;
    return set_number(fd, family, MRT_FLUSH, MRT6_FLUSH, (int)what);
}

static int add_vif4(int fd, int vif, int ifindex, int threshold, int registers)
{
    struct vifctl control;

    memset(&control, 0, sizeof control);
    control.vifc_vifi = (vifi_t)vif;
    control.vifc_threshold = (unsigned char)threshold;
    if (registers) {
        control.vifc_flags = VIFF_REGISTER;
    } else {
        control.vifc_flags = VIFF_USE_IFINDEX;
        control.vifc_lcl_ifindex = ifindex;
    }
    return set_option(fd, AF_INET, MRT_ADD_VIF, &control, sizeof control);
}

static int add_vif6(int fd, int vif, int ifindex, int threshold, int registers)
{
    struct mif6ctl control;

    if (ifindex > UINT16_MAX) { /* the kernel's field has 16 bits: another interface would be taken */
        errno = EOVERFLOW;
        return -1;
    }
    memset(&control, 0, sizeof control);
    control.mif6c_mifi = (mifi_t)vif;
    control.vifc_threshold = (unsigned char)threshold;
    if (registers)
        control.mif6c_flags = MIFF_REGISTER;
    else
        control.mif6c_pifi = (uint16_t)ifindex;
    return set_option(fd, AF_INET6, MRT6_ADD_MIF, &control, sizeof control);
}

PyObject *mroute_add_vif(PyObject *self, PyObject *args)
{
    PyObject *fd_object, *family_object, *vif_object, *ifindex_object, *threshold_object, *register_object;
    int fd, family, registers;
    long long vif, ifindex, threshold;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOO:add_vif", &fd_object, &family_object, &vif_object, &ifindex_object,
                          &threshold_object, &register_object))
        return NULL;
    /* An index beyond the kernel's 32 is the kernel's to refuse (ENFILE). */
    if (to_descriptor(fd_object, &fd) < 0 || to_family(family_object, &family) < 0 ||
        to_number(vif_object, "vif", 0, UINT16_MAX, &vif) < 0 ||
        to_number(ifindex_object, "ifindex", 0, INT32_MAX, &ifindex) < 0 ||
        to_number(threshold_object, "threshold", 1, 255, &threshold) < 0)
        return NULL;
    if (!PyBool_Check(register_object)) {
        PyErr_SetString(PyExc_TypeError, "register must be a bool");
        return NULL;
    }
    registers = register_object == Py_True;
    if (!registers && ifindex == 0) {
        PyErr_SetString(PyExc_ValueError, "ifindex must not be 0");
        return NULL;
    }
    return none_or_error((family == AF_INET ? add_vif4 : add_vif6)(fd, (int)vif, (int)ifindex, (int)threshold, registers));
}

PyObject *mroute_del_vif(PyObject *self, PyObject *args)
{
    PyObject *fd_object, *family_object, *vif_object;
    int fd, family;
    long long vif;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOO:del_vif", &fd_object, &family_object, &vif_object))
        return NULL;
    if (to_descriptor(fd_object, &fd) < 0 || to_family(family_object, &family) < 0 ||
        to_number(vif_object, "vif", 0, UINT16_MAX, &vif) < 0)
        return NULL;
    if (family == AF_INET) {
        struct vifctl control;

        memset(&control, 0, sizeof control);
        control.vifc_vifi = (vifi_t)vif;
        return none_or_error(set_option(fd, family, MRT_DEL_VIF, &control, sizeof control));
    } else {
        mifi_t mif = (mifi_t)vif;

        return none_or_error(set_option(fd, family, MRT6_DEL_MIF, &mif, sizeof mif));
    }
}
