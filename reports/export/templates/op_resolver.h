// {{ about }}
// The operators of the file, no more: each one that is registered costs code size.
#ifndef {{ guard }}
#define {{ guard }}

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

using {{ type }} = tflite::MicroMutableOpResolver<{{ operators | length }}>;

inline TfLiteStatus {{ function }}({{ type }}& resolver) {
{% for operator in operators %}
  TF_LITE_ENSURE_STATUS(resolver.Add{{ operator }}());
{% endfor %}
  return kTfLiteOk;
}

#endif  // {{ guard }}
