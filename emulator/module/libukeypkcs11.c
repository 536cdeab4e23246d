/* The functions of PKCS#11 3.2 as the module exports them: those that the rack answers are made from
 * functions.def, the others stand here. */
#include <errno.h>
#include <time.h>

#include "module.h"

#ifndef LIBRARY_MAJOR
#error "give the version of ukeylab: -DLIBRARY_MAJOR=0 -DLIBRARY_MINOR=1"
#endif

/* ---- what the rack answers ---- */

static const uint8_t kinds[][MOST_ARGUMENTS] = {
#define AS_KIND(kind, type, name) K_##kind
#define FUNCTION(number, since, name, ...) [number] = {EACH(AS_KIND, __VA_ARGS__), K_END},
#define LOCAL(number, since, name, ...)
#include "functions.def"
#undef FUNCTION
};

enum { GET_SLOT_LIST = 5, WAIT_FOR_SLOT_EVENT = 68 };

/* Without a rack there are no slots: wait for one to come, or for C_Finalize. */
static CK_RV wait_for_rack(struct call *call)
{
    const struct timespec while_waiting = {.tv_nsec = 200 * 1000 * 1000};
    unsigned life = module_life();
    CK_RV rv;

    do {
        nanosleep(&while_waiting, NULL);
        if (module_life() != life)
            return CKR_CRYPTOKI_NOT_INITIALIZED;
        rv = module_exchange(call, true, true);
    } while (rv == CKR_NO_RACK);
    return rv;
}

static CK_RV answer_without_rack(struct call *call)
{
    const uintptr_t *words = call->words;

    switch (call->number) {
    case GET_SLOT_LIST:
        if (!words[2])
            return CKR_ARGUMENTS_BAD;
        *(CK_ULONG *)words[2] = 0;
        return CKR_OK;
    case WAIT_FOR_SLOT_EVENT:
        if (words[2] || !words[1])
            return CKR_ARGUMENTS_BAD;
        return words[0] & CKF_DONT_BLOCK ? CKR_NO_EVENT : wait_for_rack(call);
    default:
        return call->kinds[0] == K_SLOT ? CKR_SLOT_ID_INVALID : CKR_SESSION_HANDLE_INVALID;
    }
}

static CK_RV ask_rack(unsigned number, const uintptr_t *words)
{
    struct call call = {.number = number, .kinds = kinds[number], .words = words};
    bool endless = number == WAIT_FOR_SLOT_EVENT && !(words[0] & CKF_DONT_BLOCK);
    CK_RV rv = module_exchange(&call, number == GET_SLOT_LIST, endless);

    return rv == CKR_NO_RACK ? answer_without_rack(&call) : rv;
}

#define AS_WORD(kind, type, name) (uintptr_t)(name)
#define FUNCTION(number, since, name, ...)                           \
    CK_RV name(PARAMETERS(__VA_ARGS__))                              \
    {                                                                \
        return ask_rack(number, (const uintptr_t[]){EACH(AS_WORD, __VA_ARGS__)}); \
    }
#include "functions.def"
#undef FUNCTION
#undef LOCAL

/* ---- what the module answers itself ---- */

CK_RV C_Initialize(void *init_args)
{
    return module_initialise(init_args);
}

CK_RV C_Finalize(void *reserved)
{
    if (module_life() % 2 == 0)
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    return reserved ? CKR_ARGUMENTS_BAD : module_finalise();
}

static CK_RV get_info(CK_INFO *info, CK_VERSION version)
{
    static const CK_INFO ours = {
        .manufacturerID = "ukeylab                         ",
        .libraryDescription = "ukeylab software USB key        ",
        .libraryVersion = {LIBRARY_MAJOR, LIBRARY_MINOR},
    };

    if (module_life() % 2 == 0)
        return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (!info)
        return CKR_ARGUMENTS_BAD;
    *info = ours;
    info->cryptokiVersion = version;
    return CKR_OK;
}

/* The version that C_GetInfo tells is that of the list which it was taken from. */
CK_RV C_GetInfo(CK_INFO *info)
{
    return get_info(info, (CK_VERSION){2, 40});
}

static CK_RV get_info_3_0(CK_INFO *info)
{
    return get_info(info, (CK_VERSION){3, 0});
}

static CK_RV get_info_3_2(CK_INFO *info)
{
    return get_info(info, (CK_VERSION){3, 2});
}

CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE session)
{
    (void)session;
    return module_life() % 2 ? CKR_FUNCTION_NOT_PARALLEL : CKR_CRYPTOKI_NOT_INITIALIZED;
}

CK_RV C_CancelFunction(CK_SESSION_HANDLE session)
{
    return C_GetFunctionStatus(session);
}

/* ---- the lists of functions ---- */

#define FUNCTION(number, since, name, ...) FUNCTION_##since(name)
#define LOCAL FUNCTION
#define FUNCTION_240(name) name,
#define FUNCTION_300(name)
#define FUNCTION_320(name)
static CK_FUNCTION_LIST list_2_40 = {
    {2, 40},
#include "functions.def"
};

#undef FUNCTION_300
#define FUNCTION_300(name) name,
#define C_GetInfo get_info_3_0
static CK_FUNCTION_LIST_3_0 list_3_0 = {
    {3, 0},
#include "functions.def"
};
#undef C_GetInfo

#undef FUNCTION_320
#define FUNCTION_320(name) name,
#define C_GetInfo get_info_3_2
static CK_FUNCTION_LIST_3_2 list_3_2 = {
    {3, 2},
#include "functions.def"
};
#undef C_GetInfo

static CK_UTF8CHAR interface_name[] = "PKCS 11";

/* The first one is what a program gets that asks for none (§5.4.6). */
static CK_INTERFACE interfaces[] = {
    {interface_name, &list_3_2, 0},
    {interface_name, &list_3_0, 0},
    {interface_name, &list_2_40, 0},
};

enum { INTERFACES = sizeof interfaces / sizeof *interfaces };

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    if (!list)
        return CKR_ARGUMENTS_BAD;
    *list = &list_2_40;
    return CKR_OK;
}

CK_RV C_GetInterfaceList(CK_INTERFACE *list, CK_ULONG *count)
{
    CK_ULONG room;

    if (!count)
        return CKR_ARGUMENTS_BAD;
    room = *count;
    *count = INTERFACES;
    if (!list)
        return CKR_OK;
    if (room < INTERFACES)
        return CKR_BUFFER_TOO_SMALL;
    memcpy(list, interfaces, sizeof interfaces);
    return CKR_OK;
}

CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface,
                     CK_FLAGS flags)
{
    if (!interface)
        return CKR_ARGUMENTS_BAD;
    for (unsigned i = 0; i < INTERFACES; i++) {
        const CK_VERSION *offered = interfaces[i].pFunctionList; /* each list begins with it */
        if (name && strcmp((const char *)name, (const char *)interface_name) != 0)
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
