/* The types of PKCS#11 3.2 that this module needs, and the functions that functions.def lists. */
#ifndef UKEY_CRYPTOKI_H
#define UKEY_CRYPTOKI_H

typedef unsigned char CK_BYTE, CK_BBOOL, CK_CHAR, CK_UTF8CHAR;
typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_RV, CK_FLAGS, CK_SLOT_ID, CK_SESSION_HANDLE, CK_OBJECT_HANDLE;
typedef CK_ULONG CK_ATTRIBUTE_TYPE, CK_MECHANISM_TYPE, CK_STATE, CK_NOTIFICATION;

_Static_assert(sizeof(CK_ULONG) == 8 && sizeof(void *) == 8 &&
                   __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the wire carries 64-bit little-endian words (PROTOCOL.md)");

#define CKR_OK 0x0UL
#define CKR_HOST_MEMORY 0x2UL
#define CKR_SLOT_ID_INVALID 0x3UL
#define CKR_GENERAL_ERROR 0x5UL
#define CKR_ARGUMENTS_BAD 0x7UL
#define CKR_NO_EVENT 0x8UL
#define CKR_DEVICE_ERROR 0x30UL
#define CKR_DEVICE_REMOVED 0x32UL
#define CKR_FUNCTION_NOT_PARALLEL 0x51UL
#define CKR_FUNCTION_NOT_SUPPORTED 0x54UL
#define CKR_SESSION_HANDLE_INVALID 0xB3UL
#define CKR_BUFFER_TOO_SMALL 0x150UL
#define CKR_CRYPTOKI_NOT_INITIALIZED 0x190UL
#define CKR_CRYPTOKI_ALREADY_INITIALIZED 0x191UL

#define CKF_DONT_BLOCK 0x1UL
#define CKF_OS_LOCKING_OK 0x2UL

typedef struct { CK_BYTE major, minor; } CK_VERSION;

typedef struct {
    CK_VERSION cryptokiVersion;
    CK_UTF8CHAR manufacturerID[32];
    CK_FLAGS flags;
    CK_UTF8CHAR libraryDescription[32];
    CK_VERSION libraryVersion;
} CK_INFO;

typedef struct {
    CK_UTF8CHAR slotDescription[64], manufacturerID[32];
    CK_FLAGS flags;
    CK_VERSION hardwareVersion, firmwareVersion;
} CK_SLOT_INFO;

typedef struct {
    CK_UTF8CHAR label[32], manufacturerID[32], model[16];
    CK_CHAR serialNumber[16];
    CK_FLAGS flags;
    CK_ULONG ulMaxSessionCount, ulSessionCount, ulMaxRwSessionCount, ulRwSessionCount;
    CK_ULONG ulMaxPinLen, ulMinPinLen;
    CK_ULONG ulTotalPublicMemory, ulFreePublicMemory;
    CK_ULONG ulTotalPrivateMemory, ulFreePrivateMemory;
    CK_VERSION hardwareVersion, firmwareVersion;
    CK_CHAR utcTime[16];
} CK_TOKEN_INFO;

typedef struct {
    CK_SLOT_ID slotID;
    CK_STATE state;
    CK_FLAGS flags;
    CK_ULONG ulDeviceError;
} CK_SESSION_INFO;

typedef struct { CK_ULONG ulMinKeySize, ulMaxKeySize; CK_FLAGS flags; } CK_MECHANISM_INFO;
typedef struct { CK_ATTRIBUTE_TYPE type; void *pValue; CK_ULONG ulValueLen; } CK_ATTRIBUTE;
typedef struct { CK_MECHANISM_TYPE mechanism; void *pParameter; CK_ULONG ulParameterLen; } CK_MECHANISM;
typedef struct { CK_UTF8CHAR *pInterfaceName; void *pFunctionList; CK_FLAGS flags; } CK_INTERFACE;
typedef struct CK_ASYNC_DATA CK_ASYNC_DATA; /* stays in the program, its inside is not needed */

typedef CK_RV (*CK_NOTIFY)(CK_SESSION_HANDLE, CK_NOTIFICATION, void *);
typedef CK_RV (*CK_CREATEMUTEX)(void **);
typedef CK_RV (*CK_MUTEXCALL)(void *);

typedef struct {
    CK_CREATEMUTEX CreateMutex;
    CK_MUTEXCALL DestroyMutex, LockMutex, UnlockMutex;
    CK_FLAGS flags;
    void *pReserved;
} CK_C_INITIALIZE_ARGS;

/* The words of functions.def as lists of C arguments: (what it is to the wire, type, name).
 * MORE is the second or third C argument of a word. */
#define AS(type, x) (LOCALLY, type, x)
#define UNSENT(type, x) (UNSENT, type, x)
#define SLOT(x) (SLOT, CK_SLOT_ID, x)
#define SESSION(x) (SESSION, CK_SESSION_HANDLE, x)
#define ULONG(x) (ULONG, CK_ULONG, x)
#define BOOL(x) (BOOL, CK_BBOOL, x)
#define DATA(x) (DATA, CK_BYTE *, x), (MORE, CK_ULONG, x##_len)
#define OPTIONAL_DATA(x) (OPTIONAL_DATA, CK_BYTE *, x), (MORE, CK_ULONG, x##_len)
#define PIN(x) (PIN, CK_UTF8CHAR *, x), (MORE, CK_ULONG, x##_len)
#define LABEL(x) (LABEL, CK_UTF8CHAR *, x)
#define NAME(x) (NAME, CK_UTF8CHAR *, x)
#define TEMPLATE(x) (TEMPLATE, CK_ATTRIBUTE *, x), (MORE, CK_ULONG, x##_count)
#define MECHANISM(x) (MECHANISM, CK_MECHANISM *, x)
#define WRAP_MECHANISM(x) (WRAP_MECHANISM, CK_MECHANISM *, x)
#define SEAL_MECHANISM(x) (SEAL_MECHANISM, CK_MECHANISM *, x)
#define OPEN_MECHANISM(x) (OPEN_MECHANISM, CK_MECHANISM *, x)
#define RESERVED(x) (RESERVED, void *, x)
#define DATA_OUT(x) (DATA_OUT, CK_BYTE *, x), (MORE, CK_ULONG *, x##_len)
#define FILL(x) (FILL, CK_BYTE *, x), (MORE, CK_ULONG, x##_len)
#define ULONG_OUT(x) (ULONG_OUT, CK_ULONG *, x)
#define LIST_OUT(x) (LIST_OUT, CK_ULONG *, x), (MORE, CK_ULONG *, x##_count)
#define FOUND_OUT(x) \
    (FOUND_OUT, CK_ULONG *, x), (MORE, CK_ULONG, x##_max), (MORE, CK_ULONG *, x##_count)
#define SLOT_INFO(x) (SLOT_INFO, CK_SLOT_INFO *, x)
#define TOKEN_INFO(x) (TOKEN_INFO, CK_TOKEN_INFO *, x)
#define SESSION_INFO(x) (SESSION_INFO, CK_SESSION_INFO *, x)
#define MECHANISM_INFO(x) (MECHANISM_INFO, CK_MECHANISM_INFO *, x)
#define QUERY(x) (QUERY, CK_ATTRIBUTE *, x), (MORE, CK_ULONG, x##_count)
#define SEAL_PARAMETER(x) (SEAL_PARAMETER, void *, x), (MORE, CK_ULONG, x##_len)
#define OPEN_PARAMETER(x) (OPEN_PARAMETER, void *, x), (MORE, CK_ULONG, x##_len)

/* EACH(m, a, b, ...) is m a, m b, ... */
#define EACH_1(m, a) m a
#define EACH_2(m, a, ...) m a, EACH_1(m, __VA_ARGS__)
#define EACH_3(m, a, ...) m a, EACH_2(m, __VA_ARGS__)
#define EACH_4(m, a, ...) m a, EACH_3(m, __VA_ARGS__)
#define EACH_5(m, a, ...) m a, EACH_4(m, __VA_ARGS__)
#define EACH_6(m, a, ...) m a, EACH_5(m, __VA_ARGS__)
#define EACH_7(m, a, ...) m a, EACH_6(m, __VA_ARGS__)
#define EACH_8(m, a, ...) m a, EACH_7(m, __VA_ARGS__)
#define EACH_9(m, a, ...) m a, EACH_8(m, __VA_ARGS__)
#define EACH_10(m, a, ...) m a, EACH_9(m, __VA_ARGS__)
#define TENTH(a, b, c, d, e, f, g, h, i, j, each, ...) each
#define EACH(m, ...)                                                                          \
    TENTH(__VA_ARGS__, EACH_10, EACH_9, EACH_8, EACH_7, EACH_6, EACH_5, EACH_4, EACH_3, EACH_2, \
          EACH_1, )(m, __VA_ARGS__)

#define AS_PARAMETER(kind, type, name) type name
#define AS_NAME(kind, type, name) name
#define PARAMETERS(...) EACH(AS_PARAMETER, __VA_ARGS__)
#define NAMES(...) EACH(AS_NAME, __VA_ARGS__)

typedef struct CK_FUNCTION_LIST CK_FUNCTION_LIST;
typedef struct CK_FUNCTION_LIST_3_0 CK_FUNCTION_LIST_3_0;
typedef struct CK_FUNCTION_LIST_3_2 CK_FUNCTION_LIST_3_2;

#define LOCAL FUNCTION
#define MEMBER(name, ...) CK_RV (*name)(PARAMETERS(__VA_ARGS__));

#define FUNCTION(number, since, name, ...) FUNCTION_##since(name, __VA_ARGS__)
#define FUNCTION_240(name, ...) MEMBER(name, __VA_ARGS__)
#define FUNCTION_300(name, ...)
#define FUNCTION_320(name, ...)
struct CK_FUNCTION_LIST {
    CK_VERSION version;
#include "functions.def"
};

#undef FUNCTION_300
#define FUNCTION_300(name, ...) MEMBER(name, __VA_ARGS__)
struct CK_FUNCTION_LIST_3_0 {
    CK_VERSION version;
#include "functions.def"
};

#undef FUNCTION_320
#define FUNCTION_320(name, ...) MEMBER(name, __VA_ARGS__)
struct CK_FUNCTION_LIST_3_2 {
    CK_VERSION version;
#include "functions.def"
};
#undef FUNCTION

#define FUNCTION(number, since, name, ...) CK_RV name(PARAMETERS(__VA_ARGS__));
#pragma GCC visibility push(default)
#include "functions.def"
#pragma GCC visibility pop
#undef FUNCTION
#undef FUNCTION_240
#undef FUNCTION_300
#undef FUNCTION_320
#undef LOCAL

#endif
