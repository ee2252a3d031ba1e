// {{ about }}
#ifndef {{ guard }}
#define {{ guard }}

#ifdef __cplusplus
extern "C" {
#endif

extern const unsigned char {{ name }}[];
extern const unsigned int {{ name }}_len;

#ifdef __cplusplus
}
#endif

#endif  // {{ guard }}
