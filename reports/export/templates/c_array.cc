// {{ about }}
#include "{{ name }}.h"

#ifndef __cplusplus
#include <stdalign.h>
#endif

alignas({{ alignment }}) const unsigned char {{ name }}[] = {
{{ body }}
};
const unsigned int {{ name }}_len = {{ length }};
