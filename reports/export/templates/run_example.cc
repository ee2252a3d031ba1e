// {{ about }}
// Runs the model once on zeros with TensorFlow Lite Micro, and prints its outputs.
{% if npu %}
// The file is compiled for {{ npu }}: initialize the NPU's driver of your board (ethosu_init) before AllocateTensors.
{% endif %}
#include <cstdint>
#include <cstring>

#include "{{ header }}"
#include "{{ resolver }}"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {
// {{ arena_words }}
constexpr int kArenaBytes = {{ arena }};
alignas(16) uint8_t arena[kArenaBytes];
}  // namespace

int main() {
  const tflite::Model* model = tflite::GetModel({{ symbol }});
  static {{ type }} resolver;
  if ({{ function }}(resolver) != kTfLiteOk) {
    return 1;
  }
  static tflite::MicroInterpreter interpreter(model, resolver, arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    MicroPrintf("the arena of %d bytes is too small, or an operator is missing", kArenaBytes);
    return 1;
  }
  MicroPrintf("arena: %d of %d bytes used", static_cast<int>(interpreter.arena_used_bytes()), kArenaBytes);

  // Replace the zeros by your input. In the file: {{ inputs }}.
  for (size_t index = 0; index < interpreter.inputs_size(); ++index) {
    std::memset(interpreter.input(index)->data.raw, 0, interpreter.input(index)->bytes);
  }
  if (interpreter.Invoke() != kTfLiteOk) {
    return 1;
  }
  const TfLiteTensor* output = interpreter.output(0);  // {{ outputs }}
  for (size_t index = 0; index < output->bytes / sizeof({{ output_type }}); ++index) {
    MicroPrintf("%d: %d", static_cast<int>(index), static_cast<int>(reinterpret_cast<const {{ output_type }}*>(output->data.raw)[index]));
  }
  return 0;
}
