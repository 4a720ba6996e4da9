#ifndef GQA_TOOLS_LAYERSCORES_H
#define GQA_TOOLS_LAYERSCORES_H

namespace gqa {

/// What a layer's attention does to the products of queries and keys before the softmax, window and causality apart.
struct LayerScores {
  double scale = 0;      ///< 0: 1 / sqrt(head dim)
  double softcap = 0;    ///< 0: none; else scores become softcap * tanh(score / softcap)
  bool hasSinks = false; ///< weights have a logit per query head, which is in the denominator of each softmax
};

} // namespace gqa

#endif // GQA_TOOLS_LAYERSCORES_H
