/* A register table with its thread, as an object of Python. */
#include "registers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_MAX (1 << 24)
#define MESSAGES_MAX 65536

static const char *const TOTAL_NAMES[TOTALS] = {"sent", "stopped", "ttl", "too_big", "refused", "held_full", "queue_full", "truncated", "malformed"};

typedef struct {
    PyObject_HEAD
    struct registers *registers; /* NULL once closed */
} Object;

static struct registers *opened(PyObject *self)
{
    struct registers *registers = ((Object *)(void *)self)->registers;

    if (registers == NULL)
        PyErr_SetString(PyExc_ValueError, "the register table is closed");
    return registers;
}

static PyObject *registers_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *mroute_object, *pim_object, *raw_object, *family_object, *protocol_object, *limit_object;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    long long protocol, limit;
    int mroute, pim, raw, family, paused = 0;
    Object *self;

    if (keywords != NULL && PyDict_Size(keywords) != 0) {
        PyErr_SetString(PyExc_TypeError, "Registers() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OOOOOO|p:Registers", &mroute_object, &pim_object, &raw_object, &family_object,
                          &protocol_object, &limit_object, &paused))
        return NULL;
    if (to_descriptor(mroute_object, &mroute) < 0 || to_descriptor(pim_object, &pim) < 0 ||
        to_descriptor(raw_object, &raw) < 0 || to_family(family_object, &family) < 0 ||
        to_number(protocol_object, "protocol", 1, 255, &protocol) < 0 ||
        to_number(limit_object, "limit", 1, LIMIT_MAX, &limit) < 0)
        return NULL;
    self = (Object *)(void *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->registers = new_registers(mroute, pim, raw, family, (int)protocol, (size_t)limit, paused);
    if (self->registers == NULL) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    return (PyObject *)self;
}

static void close_registers(Object *self)
{
    struct registers *registers = self->registers;

    self->registers = NULL;
    Py_BEGIN_ALLOW_THREADS
    free_registers(registers);
    Py_END_ALLOW_THREADS
}

static void registers_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    close_registers((Object *)(void *)self);
    release(self);
    Py_DECREF((PyObject *)type);
}

/* `key` from the first two of a call's arguments: 0, or -1 with an exception set. */
static int to_key(const struct registers *registers, PyObject *source_object, PyObject *group_object, unsigned char *key)
{
    Py_ssize_t size = (Py_ssize_t)address_size(registers->family);
    const unsigned char *source, *group;

    if (to_bytes(source_object, "source", size, &source) < 0 || to_bytes(group_object, "group", size, &group) < 0)
        return -1;
    make_key(source, group, registers->family, key);
    return 0;
}

static PyObject *registers_set(PyObject *self, PyObject *args)
{
    PyObject *source, *group, *address_object, *rps, *stopped;
    struct registers *registers = opened(self);
    struct tunnel tunnels[TUNNELS];
    const unsigned char *address;
    unsigned char key[KEY];
    unsigned count;
    int error;

    if (registers == NULL || !PyArg_ParseTuple(args, "OOOOO:set", &source, &group, &address_object, &rps, &stopped))
        return NULL;
    if (to_key(registers, source, group, key) < 0 ||
        to_bytes(address_object, "address", (Py_ssize_t)address_size(registers->family), &address) < 0 ||
        to_tunnels(registers->family, address, rps, tunnels, &count) < 0)
        return NULL;
    if (!PyBool_Check(stopped)) {
        PyErr_SetString(PyExc_TypeError, "stopped must be a bool");
        return NULL;
    }
    pthread_mutex_lock(&registers->lock);
    error = set_entry(registers, key, tunnels, count, stopped == Py_True);
    pthread_mutex_unlock(&registers->lock);
    if (error) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyObject *registers_delete(PyObject *self, PyObject *args)
{
    struct registers *registers = opened(self);
    PyObject *source, *group;
    unsigned char key[KEY];
    int found;

    if (registers == NULL || !PyArg_ParseTuple(args, "OO:delete", &source, &group) ||
        to_key(registers, source, group, key) < 0)
        return NULL;
    pthread_mutex_lock(&registers->lock);
    found = delete_entry(registers, key);
    pthread_mutex_unlock(&registers->lock);
    return PyBool_FromLong(found);
}

/* A copy of all entries, so that the lock is not held while Python's objects are made; NULL without memory. */
static struct entry *copy_entries(struct registers *registers, size_t *count)
{
    struct entry *copy, *entry;
    size_t i, at = 0;

    pthread_mutex_lock(&registers->lock);
    *count = registers->count;
    copy = malloc(*count > 0 ? *count * sizeof *copy : 1);
    for (i = 0; copy != NULL && i < registers->size; i++)
        for (entry = registers->buckets[i]; entry != NULL; entry = entry->next)
            copy[at++] = *entry;
    pthread_mutex_unlock(&registers->lock);
    return copy;
}

static int put_counters(PyObject *result, const struct entry *entry, Py_ssize_t size)
{
    PyObject *key = Py_BuildValue("(y#y#)", (const char *)entry->key, size, (const char *)entry->key + size, size);
    PyObject *value = Py_BuildValue("(KK)", (unsigned long long)entry->packets, (unsigned long long)entry->bytes);
    int done = key == NULL || value == NULL ? -1 : PyDict_SetItem(result, key, value);

    Py_XDECREF(key);
    Py_XDECREF(value);
    return done;
}

static PyObject *registers_counters(PyObject *self, PyObject *none)
{
    struct registers *registers = opened(self);
    struct entry *entries;
    PyObject *result;
    size_t count, i;

    (void)none;
    if (registers == NULL)
        return NULL;
    entries = copy_entries(registers, &count);
    if (entries == NULL)
        return PyErr_NoMemory();
    result = PyDict_New();
    for (i = 0; result != NULL && i < count; i++)
        if (put_counters(result, &entries[i], (Py_ssize_t)address_size(registers->family)) < 0)
            Py_CLEAR(result);
    free(entries);
    return result;
}

static PyObject *registers_totals(PyObject *self, PyObject *none)
{
    struct registers *registers = opened(self);
    uint64_t totals[TOTALS];
    PyObject *result;
    size_t i;

    (void)none;
    if (registers == NULL)
        return NULL;
    pthread_mutex_lock(&registers->lock);
    memcpy(totals, registers->totals, sizeof totals);
    pthread_mutex_unlock(&registers->lock);
    result = PyDict_New();
    for (i = 0; result != NULL && i < TOTALS; i++) {
        PyObject *number = PyLong_FromUnsignedLongLong(totals[i]);

        if (number == NULL || PyDict_SetItemString(result, TOTAL_NAMES[i], number) < 0)
            Py_CLEAR(result);
        Py_XDECREF(number);
    }
    return result;
}

static PyObject *registers_receive(PyObject *self, PyObject *args)
{
    struct registers *registers = opened(self);
    struct waiting *taken, *waiting;
    PyObject *limit_object, *result;
    long long limit;

    if (registers == NULL || !PyArg_ParseTuple(args, "O:receive", &limit_object) ||
        to_number(limit_object, "limit", 1, MESSAGES_MAX, &limit) < 0)
        return NULL;
    taken = take_waiting(registers, (long)limit);
    if (taken == NULL && registers->error) {
        errno = registers->error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    result = PyList_New(0);
    for (waiting = taken; result != NULL && waiting != NULL; waiting = waiting->next) {
        PyObject *tuple = message_tuple(&waiting->message, registers->family);

        if (tuple == NULL || PyList_Append(result, tuple) < 0)
            Py_CLEAR(result);
        Py_XDECREF(tuple);
    }
    free_waiting(taken);
    return result;
}

static PyObject *registers_hold(PyObject *self, PyObject *args)
{
    struct registers *registers = opened(self);
    PyObject *vif_object;
    long long vif;

    if (registers == NULL || !PyArg_ParseTuple(args, "O:hold", &vif_object) ||
        to_number(vif_object, "vif", -1, VIFS - 1, &vif) < 0)
        return NULL;
    pthread_mutex_lock(&registers->lock);
    __atomic_store_n(&registers->tunnel, (int)vif, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&registers->lock);
    Py_RETURN_NONE;
}

static PyObject *registers_holding(PyObject *self, PyObject *none)
{
    struct registers *registers = opened(self);
    size_t holding;

    (void)none;
    if (registers == NULL)
        return NULL;
    pthread_mutex_lock(&registers->lock);
    holding = registers->holding;
    registers->seen = registers->leads;
    pthread_mutex_unlock(&registers->lock);
    return PyLong_FromSize_t(holding);
}

static PyObject *registers_vifs(PyObject *self, PyObject *args)
{
    struct registers *registers = opened(self);
    const unsigned char *devices, *thresholds;
    PyObject *devices_object, *thresholds_object;

    if (registers == NULL || !PyArg_ParseTuple(args, "OO:vifs", &devices_object, &thresholds_object) ||
        to_bytes(devices_object, "devices", sizeof registers->vifs.devices, &devices) < 0 ||
        to_bytes(thresholds_object, "thresholds", VIFS, &thresholds) < 0)
        return NULL;
    pthread_mutex_lock(&registers->lock);
    memcpy(registers->vifs.devices, devices, sizeof registers->vifs.devices);
    memcpy(registers->vifs.thresholds, thresholds, VIFS);
    pthread_mutex_unlock(&registers->lock);
    Py_RETURN_NONE;
}

static PyObject *registers_follow(PyObject *self, PyObject *args)
{
    struct registers *registers = opened(self);
    PyObject *source, *group, *oifs_object;
    unsigned char key[KEY];
    struct entry *entry;
    long long oifs;

    if (registers == NULL || !PyArg_ParseTuple(args, "OOO:follow", &source, &group, &oifs_object) ||
        to_key(registers, source, group, key) < 0 || to_number(oifs_object, "oifs", 0, UINT32_MAX, &oifs) < 0)
        return NULL;
    pthread_mutex_lock(&registers->lock);
    entry = find_entry(registers, key);
    if (entry != NULL) {
        entry->until = oifs ? 0 : look_after_this(registers);
        if (oifs)
            entry->oifs = (uint32_t)oifs;
    }
    pthread_mutex_unlock(&registers->lock);
    if (!oifs)
        wake_thread(registers);
    return PyBool_FromLong(entry != NULL);
}

/* (source, group) or (source, group, iif, oifs), as change_mfc has them. */
static int to_answer(const struct registers *registers, PyObject *item, struct answer *answer)
{
    long long iif = 0, oifs = 0;
    Py_ssize_t fields;

    fields = change_fields(item);
    if (fields < 0)
        return -1;
    if (to_key(registers, PyTuple_GetItem(item, 0), PyTuple_GetItem(item, 1), answer->key) < 0)
        return -1;
    if (fields == 4 && (to_number(PyTuple_GetItem(item, 2), "iif", 0, UINT16_MAX, &iif) < 0 ||
                        to_number(PyTuple_GetItem(item, 3), "oifs", 0, UINT32_MAX, &oifs) < 0))
        return -1;
    answer->sets = fields == 4;
    answer->iif = (int)iif;
    answer->oifs = (uint32_t)oifs;
    return 0;
}

/* All changes are checked before the first stream is released. */
static PyObject *registers_release(PyObject *self, PyObject *args)
{
    struct registers *registers = opened(self);
    PyObject *list, *items, *result = NULL;
    struct output *output;
    struct answer *answers;
    Py_ssize_t count, i;

    if (registers == NULL || !PyArg_ParseTuple(args, "O:release", &list) || to_list(list, "changes", &items) < 0)
        return NULL;
    count = PyTuple_Size(items);
    answers = calloc(count > 0 ? (size_t)count : 1, sizeof *answers);
    output = calloc(1, sizeof *output);
    if (answers == NULL || output == NULL) {
        PyErr_NoMemory();
        goto out;
    }
    for (i = 0; i < count; i++)
        if (to_answer(registers, PyTuple_GetItem(items, i), &answers[i]) < 0)
            goto out;
    output->fd = registers->output.fd;
    output->family = registers->family;
    Py_BEGIN_ALLOW_THREADS
    for (i = 0; i < count; i++)
        release_stream(registers, output, &answers[i]);
    wake_thread(registers);
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
out:
    free(output);
    free(answers);
    Py_DECREF(items);
    return result;
}

static PyObject *registers_fileno(PyObject *self, PyObject *none)
{
    struct registers *registers = opened(self);

    (void)none;
    return registers == NULL ? NULL : PyLong_FromLong(registers->ready);
}

static PyObject *registers_begin(PyObject *self, PyObject *none)
{
    struct registers *registers = opened(self);
    int error = 0;

    (void)none;
    if (registers == NULL)
        return NULL;
    if (!registers->running)
        error = start_thread(registers);
    if (error) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyObject *registers_close(PyObject *self, PyObject *none)
{
    (void)none;
    close_registers((Object *)(void *)self);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"set", registers_set, METH_VARARGS,
     "set(source, group, address, rps, stopped)\n\nSend Registers of (S,G) from our address to the RPs, or while stopped none."},
    {"delete", registers_delete, METH_VARARGS, "delete(source, group) -> bool\n\nForget (S,G); whether it was there."},
    {"counters", registers_counters, METH_NOARGS, "counters() -> {(source, group): (packets, bytes)}"},
    {"totals", registers_totals, METH_NOARGS, "totals() -> {`sent` or a reason: packets}"},
    {"receive", registers_receive, METH_VARARGS, "receive(limit) -> messages\n\nAll that was not sent as a Register."},
    {"hold", registers_hold, METH_VARARGS,
     "hold(vif)\n\nKeep the packets of streams without an entry, by the register tunnel's vif; -1: no longer."},
    {"holding", registers_holding, METH_NOARGS, "holding() -> streams\n\nThose of which `release` is to speak."},
    {"release", registers_release, METH_VARARGS,
     "release(changes)\n\nThese entries stand now: what was kept of their streams follows."},
    {"vifs", registers_vifs, METH_VARARGS, "vifs(devices, thresholds)\n\nThe virtual interfaces there are."},
    {"follow", registers_follow, METH_VARARGS,
     "follow(source, group, oifs) -> bool\n\nSend each packet out by these as well, behind its Register; 0: no longer."},
    {"fileno", registers_fileno, METH_NOARGS, "fileno() -> fd\n\nReadable while messages wait."},
    {"begin", registers_begin, METH_NOARGS, "begin()\n\nStart the thread of a table that was made paused."},
    {"close", registers_close, METH_NOARGS, "close()\n\nEnd the thread and forget everything."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)registers_new},
    {Py_tp_dealloc, (void *)registers_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Registers(mroute, pim, raw, family, protocol, limit)\n\nA register table and its thread."},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "pimpy.kernel._mroute.Registers",
    .basicsize = sizeof(Object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

int add_registers(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int done = type == NULL ? -1 : PyModule_AddObjectRef(module, "Registers", type);

    Py_XDECREF(type);
    return done;
}
