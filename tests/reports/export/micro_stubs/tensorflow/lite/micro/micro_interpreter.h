// A stub for tests: an interpreter with one input and one output of four bytes, which it fills with 7.
#ifndef STUB_MICRO_INTERPRETER_H_
#define STUB_MICRO_INTERPRETER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

struct TfLiteTensor {
  union { char* raw; int8_t* int8; } data;
  size_t bytes;
};

namespace tflite {
class MicroInterpreter {
 public:
  template <unsigned int tOpCount>
  MicroInterpreter(const Model*, const MicroMutableOpResolver<tOpCount>& resolver, uint8_t* arena, size_t size)
      : complete_(resolver.added() == tOpCount), size_(size) {
    tensor_.data.raw = reinterpret_cast<char*>(arena);
    tensor_.bytes = 4;
  }
  TfLiteStatus AllocateTensors() { return complete_ && size_ >= 4 ? kTfLiteOk : kTfLiteError; }
  size_t arena_used_bytes() const { return 4; }
  size_t inputs_size() const { return 1; }
  TfLiteTensor* input(size_t) { return &tensor_; }
  TfLiteTensor* output(size_t) { return &tensor_; }
  TfLiteStatus Invoke() {
    std::memset(tensor_.data.raw, 7, tensor_.bytes);
    return kTfLiteOk;
  }

 private:
  bool complete_;
  size_t size_;
  TfLiteTensor tensor_;
};
}  // namespace tflite

#endif
