/* The functions of one list as programs get them: record.c includes this for each list that it can
 * stand before. LIST is the list's number; RECORDED(name) is what a function is called here. */
#define LOCAL FUNCTION
#define FUNCTION(number, since, name, ...)                                             \
    static CK_RV RECORDED(name)(PARAMETERS(__VA_ARGS__))                               \
    {                                                                                  \
        const uintptr_t words[MOST_ARGUMENTS] = {EACH(AS_WORD, __VA_ARGS__)};          \
        struct entry entry;                                                            \
        CK_RV rv;                                                                      \
                                                                                       \
        entry_begin(&entry, number, kinds[number], words);                             \
        rv = recorded[LIST]->name(NAMES(__VA_ARGS__));                                 \
        entry_end(&entry, #name, rv);                                                  \
        return rv;                                                                     \
    }
#include "functions.def"
#undef FUNCTION

#define FUNCTION(number, since, name, ...) RECORDED(name),
static const CK_FUNCTION_LIST_3_2 RECORDED(list) = {
    {0, 0},
#include "functions.def"
};
#undef FUNCTION
#undef LOCAL
#undef RECORDED
#undef LIST
