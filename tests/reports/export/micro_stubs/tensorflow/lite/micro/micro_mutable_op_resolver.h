// A stub for tests: the names of the resolver's methods, as TensorFlow Lite Micro has them, without kernels.
#ifndef STUB_MICRO_MUTABLE_OP_RESOLVER_H_
#define STUB_MICRO_MUTABLE_OP_RESOLVER_H_

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
#define TF_LITE_ENSURE_STATUS(call)            \
  do {                                         \
    const TfLiteStatus status = (call);        \
    if (status != kTfLiteOk) return status;    \
  } while (0)

namespace tflite {
template <unsigned int tOpCount>
class MicroMutableOpResolver {
 public:
#define OP(name) TfLiteStatus Add##name() { return ++added_ > tOpCount ? kTfLiteError : kTfLiteOk; }
  OP(Abs) OP(Add) OP(AddN) OP(ArgMax) OP(ArgMin) OP(AssignVariable) OP(AveragePool2D) OP(BatchMatMul)
  OP(BatchToSpaceNd) OP(BroadcastArgs) OP(BroadcastTo) OP(CallOnce) OP(Cast) OP(Ceil) OP(Concatenation)
  OP(Conv2D) OP(Cos) OP(CumSum) OP(Decode) OP(DepthToSpace) OP(DepthwiseConv2D) OP(Dequantize) OP(Div)
  OP(Elu) OP(EmbeddingLookup) OP(Equal) OP(EthosU) OP(Exp) OP(ExpandDims) OP(Fill) OP(Floor) OP(FloorDiv)
  OP(FloorMod) OP(FullyConnected) OP(Gather) OP(GatherNd) OP(Greater) OP(GreaterEqual) OP(HardSwish) OP(If)
  OP(L2Normalization) OP(L2Pool2D) OP(LeakyRelu) OP(Less) OP(LessEqual) OP(Log) OP(LogSoftmax) OP(LogicalAnd)
  OP(LogicalNot) OP(LogicalOr) OP(Logistic) OP(MaxPool2D) OP(Maximum) OP(Mean) OP(Minimum) OP(MirrorPad)
  OP(Mul) OP(Neg) OP(NotEqual) OP(Pack) OP(Pad) OP(PadV2) OP(Prelu) OP(Quantize) OP(ReadVariable)
  OP(ReduceMax) OP(Relu) OP(Relu6) OP(Reshape) OP(ResizeBilinear) OP(ResizeNearestNeighbor) OP(Round)
  OP(Rsqrt) OP(SelectV2) OP(Shape) OP(Sin) OP(Slice) OP(Softmax) OP(SpaceToBatchNd) OP(SpaceToDepth)
  OP(Split) OP(SplitV) OP(Sqrt) OP(Square) OP(SquaredDifference) OP(Squeeze) OP(StridedSlice) OP(Sub) OP(Sum)
  OP(Svdf) OP(Tanh) OP(Transpose) OP(TransposeConv) OP(UnidirectionalSequenceLSTM) OP(Unpack) OP(VarHandle)
  OP(While) OP(ZerosLike)
#undef OP
  unsigned int added() const { return added_; }

 private:
  unsigned int added_ = 0;
};
}  // namespace tflite

#endif
