/* libukeyrecord: stands before the PKCS#11 module named by UKEY_RECORD_MODULE and appends a line of
 * JSON for each call to the file named by UKEY_RECORD_FILE; UKEY_RECORD_LEVEL says how much of it
 * (record_entry.c). It offers what that module offers: the same interfaces, and in each list the
 * same functions. With UKEY_RECORD_AS ("2.40/0,3.0/1": versions and flags) it offers these
 * interfaces instead, and with UKEY_RECORD_INFO (hexadecimal digits) that CK_INFO: so a replay
 * looks like the module that was recorded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "record.h"

enum { LISTS = 4, INTERFACES = 8 };

static const CK_FUNCTION_LIST_3_2 *recorded[LISTS];

static const uint8_t kinds[][MOST_ARGUMENTS] = {
#define AS_KIND(kind, type, name) K_##kind
#define FUNCTION(number, since, name, ...) [number] = {EACH(AS_KIND, __VA_ARGS__), K_END},
#define LOCAL FUNCTION
#include "functions.def"
#undef LOCAL
#undef FUNCTION
};

#define AS_WORD(kind, type, name) (uintptr_t)(name)

#define LIST 0
#define RECORDED(name) first_##name
#include "record_list.h"
#define LIST 1
#define RECORDED(name) second_##name
#include "record_list.h"
#define LIST 2
#define RECORDED(name) third_##name
#include "record_list.h"
#define LIST 3
#define RECORDED(name) fourth_##name
#include "record_list.h"

static const CK_FUNCTION_LIST_3_2 *const ours[LISTS] = {&first_list, &second_list, &third_list,
                                                        &fourth_list};

/* What programs get. A list of a lower version is the beginning of one of a higher version. */
static CK_FUNCTION_LIST_3_2 lists[LISTS];
static CK_INTERFACE interfaces[INTERFACES];
static CK_ULONG interface_count;
static CK_FUNCTION_LIST *plain; /* what C_GetFunctionList gives */
static CK_UTF8CHAR interface_name[] = "PKCS 11";
static CK_INFO told_info;
static bool tells_info;

static void complain(const char *problem, const char *about)
{
    fprintf(stderr, "libukeyrecord: %s%s\n", problem, about ? about : "");
}

static unsigned functions_of(const CK_VERSION *version)
{
    if (version->major < 3)
        return 68;
    return version->major == 3 && version->minor < 2 ? 92 : FUNCTIONS;
}

static CK_RV tell_info(CK_INFO *info)
{
    const uintptr_t words[MOST_ARGUMENTS] = {(uintptr_t)info};
    struct entry entry;
    CK_RV rv;

    entry_begin(&entry, GET_INFO, kinds[GET_INFO], words);
    rv = recorded[0]->C_GetInfo(info); /* for its return value */
    if (rv == CKR_OK)
        *info = told_info;
    entry_end(&entry, "C_GetInfo", rv);
    return rv;
}

/* A list of ours that stands before one of the module's; what is missing there is missing here. */
static CK_FUNCTION_LIST_3_2 *stand_before(const void *functions, CK_VERSION version)
{
    enum { FIRST = offsetof(CK_FUNCTION_LIST_3_2, C_Initialize), SIZE = sizeof(void *) };
    unsigned count = functions_of(&version), at = 0;
    CK_FUNCTION_LIST_3_2 *list;

    while (at < LISTS && recorded[at] &&
           (recorded[at] != functions || memcmp(&lists[at].version, &version, sizeof version) != 0))
        at++;
    if (at == LISTS)
        return NULL;
    list = &lists[at];
    if (recorded[at])
        return list;
    recorded[at] = functions;
    list->version = version;
    for (unsigned i = 0; i < count; i++) {
        size_t place = FIRST + i * SIZE;
        void *theirs;
        memcpy(&theirs, (const char *)functions + place, SIZE);
        if (theirs)
            memcpy((char *)list + place, (const char *)ours[at] + place, SIZE);
    }
    if (list->C_GetInfo && tells_info)
        list->C_GetInfo = tell_info;
    list->C_GetFunctionList = C_GetFunctionList; /* the way back to the recorder */
    if (count > 68) {
        list->C_GetInterfaceList = C_GetInterfaceList;
        list->C_GetInterface = C_GetInterface;
    }
    return list;
}

static void offer(const void *functions, CK_VERSION version, CK_FLAGS flags)
{
    CK_FUNCTION_LIST_3_2 *list = stand_before(functions, version);

    if (!list || interface_count == INTERFACES) {
        complain("the module offers more interfaces than can be recorded", NULL);
        return;
    }
    interfaces[interface_count++] = (CK_INTERFACE){interface_name, list, flags};
}

typedef CK_RV (*get_list)(CK_FUNCTION_LIST **);
typedef CK_RV (*get_interfaces)(CK_INTERFACE *, CK_ULONG *);

/* The module's interfaces; one that bears another name than the standard's goes through as it is. */
static CK_ULONG interfaces_of(void *module, CK_INTERFACE *found)
{
    get_interfaces get;
    CK_ULONG count = INTERFACES;

    *(void **)&get = dlsym(module, "C_GetInterfaceList");
    return get && get(found, &count) == CKR_OK ? count : 0;
}

static void offer_all(CK_FUNCTION_LIST *list, const CK_INTERFACE *found, CK_ULONG count)
{
    for (CK_ULONG i = 0; i < count; i++) {
        if (!found[i].pInterfaceName || !found[i].pFunctionList)
            continue;
        if (strcmp((const char *)found[i].pInterfaceName, (const char *)interface_name) == 0)
            offer(found[i].pFunctionList, *(const CK_VERSION *)found[i].pFunctionList,
                  found[i].flags);
        else if (interface_count < INTERFACES)
            interfaces[interface_count++] = found[i];
    }
    if (!interface_count)
        offer(list, list->version, 0);
}

/* Offer what UKEY_RECORD_AS says, each by the list of the module that has as many functions. */
static void offer_as(const char *wanted, CK_FUNCTION_LIST *list, const CK_INTERFACE *found,
                     CK_ULONG count)
{
    unsigned major, minor;
    unsigned long flags;
    int read;

    while (sscanf(wanted, "%3u.%3u/%lu%n", &major, &minor, &flags, &read) == 3) {
        CK_VERSION version = {(CK_BYTE)major, (CK_BYTE)minor};
        const void *functions = list;
        for (CK_ULONG i = 0; i < count; i++)
            if (functions_of(found[i].pFunctionList) == functions_of(&version))
                functions = found[i].pFunctionList;
        if (functions_of(functions) == functions_of(&version))
            offer(functions, version, flags);
        wanted += read;
        wanted += *wanted == ',';
    }
}

/* What C_GetFunctionList gives: of the interfaces the one that is older than they are. */
static CK_FUNCTION_LIST *plain_list(CK_FUNCTION_LIST *list)
{
    for (CK_ULONG i = 0; i < interface_count; i++)
        if (((const CK_VERSION *)interfaces[i].pFunctionList)->major < 3)
            return interfaces[i].pFunctionList;
    return (CK_FUNCTION_LIST *)stand_before(list, list->version);
}

static void read_info(const char *digits)
{
    uint8_t *bytes = (uint8_t *)&told_info;
    unsigned byte;

    for (size_t i = 0; digits && i < sizeof told_info; i++, digits += 2) {
        if (sscanf(digits, "%2x", &byte) != 1)
            return;
        bytes[i] = (uint8_t)byte;
    }
    tells_info = digits;
}

static void load(void)
{
    const char *path = secure_getenv("UKEY_RECORD_MODULE");
    const char *wanted = secure_getenv("UKEY_RECORD_AS");
    CK_INTERFACE found[INTERFACES];
    CK_FUNCTION_LIST *list = NULL;
    CK_ULONG count;
    get_list get;
    void *module;

    entry_settings();
    if (!path || !*path) {
        complain("UKEY_RECORD_MODULE must name the PKCS#11 module to be recorded", NULL);
        return;
    }
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        complain("the module cannot be loaded: ", dlerror());
        return;
    }
    *(void **)&get = dlsym(module, "C_GetFunctionList");
    if (!get || get(&list) != CKR_OK || !list) {
        complain("this module gives no list of functions: ", path);
        return;
    }
    read_info(secure_getenv("UKEY_RECORD_INFO"));
    count = interfaces_of(module, found);
    if (wanted)
        offer_as(wanted, list, found, count);
    else
        offer_all(list, found, count);
    plain = plain_list(list);
    entry_module(path, interfaces, interface_count);
}

static bool is_loaded(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return plain != NULL;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    if (!list)
        return CKR_ARGUMENTS_BAD;
    if (!is_loaded())
        return CKR_GENERAL_ERROR;
    *list = plain;
    return CKR_OK;
}

CK_RV C_GetInterfaceList(CK_INTERFACE *list, CK_ULONG *count)
{
    CK_ULONG room;

    if (!count)
        return CKR_ARGUMENTS_BAD;
    if (!is_loaded())
        return CKR_GENERAL_ERROR;
    room = *count;
    *count = interface_count;
    if (!list)
        return CKR_OK;
    if (room < interface_count)
        return CKR_BUFFER_TOO_SMALL;
    memcpy(list, interfaces, interface_count * sizeof *list);
    return CKR_OK;
}

CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface,
                     CK_FLAGS flags)
{
    if (!interface)
        return CKR_ARGUMENTS_BAD;
    if (!is_loaded())
        return CKR_GENERAL_ERROR;
    for (CK_ULONG i = 0; i < interface_count; i++) {
        const CK_VERSION *offered = interfaces[i].pFunctionList; /* each list begins with it */
        if (name && strcmp((const char *)name, (const char *)interfaces[i].pInterfaceName) != 0)
            continue;
        if (version && (version->major != offered->major || version->minor != offered->minor))
            continue;
        if ((interfaces[i].flags & flags) != flags)
            continue;
        *interface = &interfaces[i];
        return CKR_OK;
    }
    return CKR_ARGUMENTS_BAD;
}
