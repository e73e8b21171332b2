/* The module: its functions, and the conversions of their arguments. */
#include "mroute.h"

#include <limits.h>

int to_number(PyObject *value, const char *name, long long low, long long high, long long *result)
{
    int overflow = 0;
    long long number;

    if (!PyLong_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int", name);
        return -1;
    }
    number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (number == -1 && PyErr_Occurred())
        return -1;
    if (overflow || number < low || number > high) {
        PyErr_Format(PyExc_ValueError, "%s must be %lld to %lld", name, low, high);
        return -1;
    }
    *result = number;
    return 0;
}

int to_descriptor(PyObject *value, int *result)
{
    long long number;

    if (to_number(value, "fd", 0, INT_MAX, &number) < 0)
        return -1;
    *result = (int)number;
    return 0;
}

int to_family(PyObject *value, int *result)
{
    long long number;

    if (to_number(value, "family", 0, INT_MAX, &number) < 0)
        return -1;
    if (number != AF_INET && number != AF_INET6) {
        PyErr_SetString(PyExc_ValueError, "family must be AF_INET or AF_INET6");
        return -1;
    }
    *result = (int)number;
    return 0;
}

/* The bytes stay valid as long as the caller holds the object. */
int to_bytes(PyObject *value, const char *name, Py_ssize_t size, const unsigned char **result)
{
    char *bytes;
    Py_ssize_t length;

    if (!PyBytes_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be bytes", name);
        return -1;
    }
    if (PyBytes_AsStringAndSize(value, &bytes, &length) < 0)
        return -1;
    if (length != size) {
        PyErr_Format(PyExc_ValueError, "%s must have %zd bytes, not %zd", name, size, length);
        return -1;
    }
    *result = (const unsigned char *)bytes;
    return 0;
}

/* A tuple of the list's items: it keeps them alive while the GIL is released, whatever becomes of the list. */
int to_list(PyObject *value, const char *name, PyObject **result)
{
    if (!PyList_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be a list", name);
        return -1;
    }
    *result = PyList_AsTuple(value);
    return *result == NULL ? -1 : 0;
}

static PyMethodDef methods[] = {
    {"init", mroute_init, METH_VARARGS, "init(fd, family, table)\n\nTake the routing table (0: the default one)."},
    {"set_pim", mroute_set_pim, METH_VARARGS, "set_pim(fd, family, mode)\n\nReport wrong interfaces: 0 no, 1 yes, 4 with the packet."},
    {"done", mroute_done, METH_VARARGS, "done(fd, family)\n\nGive the routing table back."},
    {"flush", mroute_flush, METH_VARARGS, "flush(fd, family, what)\n\nEmpty the table: the sum of FLUSH_* values."},
    {"add_vif", mroute_add_vif, METH_VARARGS,
     "add_vif(fd, family, vif, ifindex, threshold, register)\n\nMake an interface (or the register tunnel) a virtual interface."},
    {"del_vif", mroute_del_vif, METH_VARARGS, "del_vif(fd, family, vif)\n\nRemove a virtual interface."},
    {"change_mfc", mroute_change_mfc, METH_VARARGS,
     "change_mfc(fd, family, changes, thresholds) -> errnos\n\n"
     "Each change is (source, group, iif, oifs), which sets an entry, or (source, group), which deletes it."},
    {"dump_mfc", mroute_dump_mfc, METH_VARARGS,
     "dump_mfc(fd, family, table) -> list of (source, group, iif, oifs, packets, bytes, wrong_if)\n\n"
     "iif and oifs are interface indexes; iif is 0 if the interface is gone, -1 if the entry is unresolved."},
    {"count_mfc", mroute_count_mfc, METH_VARARGS,
     "count_mfc(fd, family, table) -> {(source, group): (packets, bytes, wrong_if, idle)}\n\nResolved entries only."},
    {"decode_mfc", mroute_decode_mfc, METH_VARARGS,
     "decode_mfc(family, table, data) -> (entries, done, interrupted)\n\nWhat dump_mfc makes of one datagram."},
    {"receive", mroute_receive, METH_VARARGS,
     "receive(fd, family, protocol, limit) -> (messages, truncated, malformed)\n\n"
     "Each message is (kind, index, source, destination, ttl, router_alert, data)."},
    {"decode", mroute_decode, METH_VARARGS,
     "decode(family, protocol, data, ifindex, source, destination, hop_limit, hop_options) -> message or None\n\n"
     "What receive makes of one datagram."},
    {"send", mroute_send, METH_VARARGS,
     "send(fd, family, packets) -> errnos\n\nEach packet is (ifindex, source, destination, data)."},
    {"encapsulate", mroute_encapsulate, METH_VARARGS,
     "encapsulate(family, source, rp, mtu, packet) -> registers, None or int\n\n"
     "What Registers makes of one packet."},
    {"timer_open", mroute_timer_open, METH_NOARGS, "timer_open() -> fd\n\nA timer that is a descriptor, not armed."},
    {"timer_set", mroute_timer_set, METH_VARARGS, "timer_set(fd, milliseconds)\n\nFire once from now on; 0 disarms."},
    {"keep_capabilities", mroute_keep_capabilities, METH_VARARGS,
     "keep_capabilities(mask)\n\nGive up all capabilities but these, for good."},
    {"die_with_parent", mroute_die_with_parent, METH_VARARGS,
     "die_with_parent(signal)\n\nGet this signal when the parent ends."},
    {"set_name", mroute_set_name, METH_VARARGS, "set_name(name)\n\nThe process's name in /proc, 15 bytes of it."},
    {"lock_down", mroute_lock_down, METH_NOARGS,
     "lock_down()\n\nNo new privileges, and only the system calls that routing needs."},
    {NULL, NULL, 0, NULL},
};

static const struct {
    const char *name;
    long value;
} constants[] = {
    {"IGMP", KIND_IGMP},
    {"MLD", KIND_MLD},
    {"PIM", KIND_PIM},
    {"NOCACHE", UPCALL + UPCALL_NOCACHE},
    {"WRONGVIF", UPCALL + UPCALL_WRONGVIF},
    {"WHOLEPKT", UPCALL + UPCALL_WHOLEPKT},
    {"WRVIFWHOLE", UPCALL + UPCALL_WRVIFWHOLE},
    {"VIFS", VIFS},
    {"FLUSH_MFC", 1},
    {"FLUSH_MFC_STATIC", 2},
    {"FLUSH_VIFS", 4},
    {"FLUSH_VIFS_STATIC", 8},
};

static int module_exec(PyObject *module)
{
    size_t i;

    for (i = 0; i < sizeof constants / sizeof constants[0]; i++)
        if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0)
            return -1;
    return add_registers(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_mroute",
    .m_doc = "Linux multicast routing: tables, entries, packets and upcalls.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__mroute(void);

PyMODINIT_FUNC PyInit__mroute(void)
{
    return PyModuleDef_Init(&definition);
}
