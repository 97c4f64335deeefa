#include "merit/nn/config.h"

#include <cmath>

#include "merit/core/error.h"

namespace merit::nn {

double ModelConfig::score_scale() const {
  return attention_scale > 0 ? attention_scale : 1.0 / std::sqrt(static_cast<double>(head_dim));
}

int64_t ModelConfig::non_embedding_parameters() const {
  const int64_t norms = hidden_size * ((pre_norm ? 2 : 0) + (post_norm ? 2 : 0));
  const int64_t attention = hidden_size * (2 * q_size() + 2 * kv_size()) + norms;
  const int64_t matrices = gated ? 3 : 2;
  int64_t total = hidden_size;
  for (int64_t i = 0; i < layers; ++i) {
    const int64_t feed_forward =
        is_sparse(i) ? experts_used * expert_ffn_size * matrices + experts : ffn_size * matrices;
    total += attention + hidden_size * feed_forward;
  }
  return total;
}

void check_config(const ModelConfig& c, const std::string& where) {
  auto refuse = [&](const std::string& what) { fail(ErrorKind::kData, "{}: {}", where, what); };
  auto within = [&](const char* name, int64_t value, int64_t most) {
    if (value < 1 || value > most) refuse(fmt::format("{} must be between 1 and {}, got {}", name, most, value));
  };
  auto positive = [&](const char* name, double value) {
    if (!(value > 0 && std::isfinite(value))) refuse(fmt::format("{} must be above 0, got {}", name, value));
  };
  auto not_negative = [&](const char* name, double value) {
    if (!(value >= 0 && std::isfinite(value))) refuse(fmt::format("{} must not be negative, got {}", name, value));
  };
  within("the vocabulary's size", c.vocab_size, int64_t{1} << 26);
  within("the hidden size", c.hidden_size, int64_t{1} << 20);
  within("the number of layers", c.layers, 4096);
  within("the number of heads", c.heads, 65536);
  within("the number of key-value heads", c.kv_heads, c.heads);
  within("the head size", c.head_dim, 4096);
  within("the feed-forward size", c.ffn_size, int64_t{1} << 22);
  within("the number of positions", c.max_positions, int64_t{1} << 30);
  if (c.heads % c.kv_heads != 0) {
    refuse(fmt::format("{} heads cannot share {} key-value heads evenly", c.heads, c.kv_heads));
  }
  if (!(c.norm_eps > 0 && c.norm_eps < 1)) {
    refuse(fmt::format("the norm's epsilon must be in (0, 1), got {}", c.norm_eps));
  }
  not_negative("the attention scale", c.attention_scale);
  not_negative("the soft cap of attention", c.attention_softcap);
  not_negative("the soft cap of logits", c.logit_softcap);
  positive("the embedding's scale", c.embedding_scale);
  positive("the residual's scale", c.residual_scale);
  positive("the logits' scale", c.logit_scale);
  if (c.window < 0) refuse(fmt::format("the sliding window must not be negative, got {}", c.window));
  for (const auto* flags : {&c.sliding, &c.sparse}) {
    if (!flags->empty() && static_cast<int64_t>(flags->size()) != c.layers) {
      refuse(fmt::format("{} layer kinds for {} layers", flags->size(), c.layers));
    }
  }
  if (c.experts != 0) {
    within("the number of experts", c.experts, 4096);
    within("the number of experts used", c.experts_used, c.experts);
    within("the experts' feed-forward size", c.expert_ffn_size, int64_t{1} << 22);
  }
  check_rope(c.rope, c.head_dim, where);
  if (c.local_rope) check_rope(*c.local_rope, c.head_dim, where);
}

}  // namespace merit::nn
