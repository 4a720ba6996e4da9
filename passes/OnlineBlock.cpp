#include "passes/OnlineBlock.h"

namespace mlir::gqa {

SoftmaxState buildOnlineBlock(OpBuilder &b, AttentionOp op, const OnlineBlock &block, const SoftmaxState &state) {
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  SmallVector<int32_t> segments;
  auto add = [&](ArrayRef<MappedTensor> tensors) {
    segments.push_back(static_cast<int32_t>(tensors.size()));
    for (const MappedTensor &tensor : tensors) {
      operands.push_back(tensor.tensor);
      maps.push_back(tensor.map);
    }
  };
  for (const MappedTensor &required : {block.query, block.key, block.value})
    add(required);
  for (const std::optional<MappedTensor> &optional :
       {block.bias, block.mask, block.kvLen, block.positions, block.keyScale, block.valueScale, block.keyPositions})
    add(optional ? ArrayRef(*optional) : ArrayRef<MappedTensor>());
  add({state.acc, state.max, state.sum});
  segments.push_back(block.keyStart ? 1 : 0);
  if (block.keyStart)
    operands.push_back(block.keyStart);

  SmallVector<NamedAttribute> attributes = {b.getNamedAttr("indexing_maps", b.getAffineMapArrayAttr(maps)),
                                            b.getNamedAttr("scale", op.getScaleAttr()),
                                            b.getNamedAttr("operandSegmentSizes", b.getDenseI32ArrayAttr(segments))};
  auto addAttribute = [&](StringRef name, Attribute attribute, bool condition = true) {
    if (attribute && condition)
      attributes.push_back(b.getNamedAttr(name, attribute));
  };
  addAttribute("softcap", op.getSoftcapAttr());
  for (StringRef name : {"causal", "window_left", "window_right"})
    addAttribute(name, op->getAttr(name), block.positions.has_value());
  addAttribute("sinks", op.getRingSinksAttr(), block.keyPositions.has_value());
  addAttribute("dot", b.getUnitAttr(), block.dot);
  addAttribute("shorts", b.getUnitAttr(), block.shorts);

  TypeRange types = ValueRange{state.acc.tensor, state.max.tensor, state.sum.tensor}.getTypes();
  auto online = OnlineAttentionOp::create(b, op.getLoc(), types, operands, attributes);
  return {
      {online.getResult(0), state.acc.map}, {online.getResult(1), state.max.map}, {online.getResult(2), state.sum.map}};
}

} // namespace mlir::gqa
