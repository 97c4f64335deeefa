#include "merit/nn/vocab_ops.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "merit/core/error.h"
#include "merit/nn/fast_exp.h"
#include "merit/nn/linear.h"

namespace merit::nn {
namespace {

constexpr int64_t kChunkBytes = int64_t{64} << 20;  // of logits held at once
constexpr int kLanes = 8;

// Additions run in eight lanes by position in the row, then lanes in order: the same for every row.
template <typename T>
struct RowSums {
  double z = 0;   // sum of e = exp(x - max)
  double zd = 0;  // sum of e (x - max)
  double zz = 0;  // sum of e^2
};

template <typename T>
[[gnu::always_inline]] inline bool finite_or_negative_infinity(const T* x, int64_t n, T* max) {
  constexpr T kLargest = std::numeric_limits<T>::max();
  T best[kLanes];
  int bad[kLanes] = {};
  for (T& b : best) b = -std::numeric_limits<T>::infinity();
  for (int64_t i = 0; i < n; i += kLanes) {
    const int width = static_cast<int>(std::min<int64_t>(kLanes, n - i));
    for (int l = 0; l < width; ++l) {
      best[l] = x[i + l] > best[l] ? x[i + l] : best[l];
      bad[l] |= !(x[i + l] <= kLargest);  // NaN and +infinity
    }
  }
  int any = 0;
  *max = best[0];
  for (int l = 0; l < kLanes; ++l) {
    any |= bad[l];
    *max = std::max(*max, best[l]);
  }
  return any == 0 && *max >= -kLargest;
}

template <typename T>
[[gnu::always_inline]] inline RowSums<T> sum_row(const T* x, int64_t n, T max) {
  double z[kLanes] = {}, zd[kLanes] = {}, zz[kLanes] = {};
  const int64_t whole = n / kLanes * kLanes;
  const auto step = [&](int64_t i, int l) __attribute__((always_inline)) {
    const T d = x[i + l] - max;
    const T e = exp_negative(d);
    const T finite = e > 0 ? d : T(0);  // exp(-infinity) * -infinity counts as 0
    z[l] += static_cast<double>(e);
    zd[l] += static_cast<double>(e) * static_cast<double>(finite);
    zz[l] += static_cast<double>(e) * static_cast<double>(e);
  };
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) step(i, l);
  }
  for (int64_t i = whole; i < n; ++i) step(whole, static_cast<int>(i - whole));
  RowSums<T> sums;
  for (int l = 0; l < kLanes; ++l) {
    sums.z += z[l];
    sums.zd += zd[l];
    sums.zz += zz[l];
  }
  return sums;
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MERIT_CLONES __attribute__((target_clones("arch=x86-64-v3", "default"), optimize("O3")))
#else
#define MERIT_CLONES
#endif

MERIT_CLONES bool max_of(const float* x, int64_t n, float* max) { return finite_or_negative_infinity(x, n, max); }
bool max_of(const double* x, int64_t n, double* max) { return finite_or_negative_infinity(x, n, max); }
MERIT_CLONES RowSums<float> sums_of(const float* x, int64_t n, float max) { return sum_row(x, n, max); }
RowSums<double> sums_of(const double* x, int64_t n, double max) { return sum_row(x, n, max); }

// False if the row has no softmax.
template <typename T>
bool reduce_row(std::span<const T> logits, RowSoftmax* out) {
  const auto n = static_cast<int64_t>(logits.size());
  T max = 0;
  if (n == 0 || !max_of(logits.data(), n, &max)) return false;
  const RowSums<T> sums = sums_of(logits.data(), n, max);
  const double log_z = std::log(sums.z);
  out->max = static_cast<double>(max);
  out->log_sum_exp = out->max + log_z;
  out->entropy = std::max(0.0, log_z - sums.zd / sums.z);
  out->sumsq = sums.zz / (sums.z * sums.z);
  out->argmax = std::find(logits.begin(), logits.end(), max) - logits.begin();
  return true;
}

[[noreturn]] void bad_row(const std::string& where) {
  fail(ErrorKind::kNumeric,
       "{}: expected finite values, got a NaN, an infinity or nothing but -infinity; the weights or the precision are "
       "at fault: try float32",
       where);
}

template <typename T>
RowSoftmax checked_row(std::span<const T> logits) {
  RowSoftmax row;
  if (!reduce_row(logits, &row)) bad_row("logits of one position");
  return row;
}

int64_t chunk_rows(int64_t vocab, size_t element) {
  const int64_t fit = kChunkBytes / (vocab * static_cast<int64_t>(element));
  return std::clamp<int64_t>(fit / kRowQuantum * kRowQuantum, kRowQuantum, 1024);
}

template <typename T>
void scale_and_cap(T* z, int64_t count, T scale, T cap) {
  at::parallel_for(0, count, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      z[i] *= scale;
      if (cap > 0) z[i] = cap * std::tanh(z[i] / cap);
    }
  });
}

// hidden [16 k, H] -> logits [16 k, V], float32 or float64.
at::Tensor product(const at::Tensor& hidden, const VocabProjection& projection) {
  at::Tensor z = projection.weight.multiply_wide(hidden);
  if (projection.scale == 1 && projection.softcap == 0) return z;
  if (z.scalar_type() == at::kDouble) {
    scale_and_cap<double>(z.mutable_data_ptr<double>(), z.numel(), projection.scale, projection.softcap);
  } else {
    scale_and_cap<float>(z.mutable_data_ptr<float>(), z.numel(), static_cast<float>(projection.scale),
                         static_cast<float>(projection.softcap));
  }
  return z;
}

at::ScalarType result_type(const at::Tensor& hidden) {
  return hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

void check_operands(const at::Tensor& hidden, const Matrix& projection) {
  MERIT_CHECK(hidden.dim() == 2 && hidden.size(1) == projection.in_features());
  MERIT_CHECK(hidden.scalar_type() == projection.dtype());
  MERIT_CHECK(hidden.scalar_type() == at::kFloat || hidden.scalar_type() == at::kBFloat16 ||
              hidden.scalar_type() == at::kDouble);
}

at::Tensor checked_targets(const at::Tensor& targets, int64_t rows, int64_t vocab) {
  MERIT_CHECK(targets.dim() == 1 && targets.size(0) == rows && targets.scalar_type() == at::kLong);
  at::Tensor out = targets.contiguous();
  const int64_t* ids = out.data_ptr<int64_t>();
  for (int64_t i = 0; i < rows; ++i) {
    if (ids[i] < -1 || ids[i] >= vocab) {
      fail(ErrorKind::kData, "target of position {}: expected an id of 0 to {} or -1 for none, got {}", i, vocab - 1,
           ids[i]);
    }
  }
  return out;
}

// What backward needs of each row: log-sum-exp, entropy, sum of squares, float64 [n, 3].
struct Forward {
  VocabQuantities result;
  at::Tensor rows;
};

template <typename T>
void reduce_chunk(const at::Tensor& logits, int64_t begin, int64_t count, const int64_t* targets, Forward& out) {
  const int64_t vocab = logits.size(1);
  const T* data = logits.const_data_ptr<T>();
  T* logp = out.result.logp.data_ptr<T>();
  T* entropy = out.result.entropy.data_ptr<T>();
  T* sumsq = out.result.sumsq.data_ptr<T>();
  int64_t* argmax = out.result.argmax.data_ptr<int64_t>();
  double* rows = out.rows.data_ptr<double>();
  std::vector<char> good(static_cast<size_t>(count));
  at::parallel_for(0, count, 1, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const std::span<const T> x(data + r * vocab, static_cast<size_t>(vocab));
      const int64_t i = begin + r;
      RowSoftmax row;
      good[static_cast<size_t>(r)] = reduce_row(x, &row);
      logp[i] = targets[i] < 0 ? T(0) : row_logp(x, row, targets[i]);
      entropy[i] = static_cast<T>(row.entropy);
      sumsq[i] = static_cast<T>(row.sumsq);
      argmax[i] = row.argmax;
      rows[3 * i] = row.log_sum_exp;
      rows[3 * i + 1] = row.entropy;
      rows[3 * i + 2] = row.sumsq;
    }
  });
  const auto bad = std::find(good.begin(), good.end(), 0);
  if (bad != good.end()) bad_row(fmt::format("logits of position {}", begin + (bad - good.begin())));
}

Forward forward_pass(const at::Tensor& hidden, const VocabProjection& projection, const at::Tensor& targets) {
  check_operands(hidden, projection.weight);
  const at::NoGradGuard no_grad;
  const int64_t n = hidden.size(0);
  const int64_t vocab = projection.weight.out_features();
  const at::Tensor ids = checked_targets(targets, n, vocab);
  const at::ScalarType type = result_type(hidden);
  Forward out{{at::empty({n}, type), at::empty({n}, type), at::empty({n}, type), at::empty({n}, at::kLong)},
              at::empty({n, 3}, at::kDouble)};
  const int64_t chunk = chunk_rows(vocab, c10::elementSize(type));
  for (int64_t begin = 0; begin < n; begin += chunk) {
    const int64_t count = std::min(chunk, n - begin);
    const at::Tensor logits = product(pad_rows(hidden.narrow(0, begin, count)), projection);
    if (type == at::kDouble) {
      reduce_chunk<double>(logits, begin, count, ids.data_ptr<int64_t>(), out);
    } else {
      reduce_chunk<float>(logits, begin, count, ids.data_ptr<int64_t>(), out);
    }
  }
  return out;
}

// The gradient of one row's loss with respect to its logits, in their place. With g the incoming gradients,
//   d logp / dz_j = [j = target] - p_j,  d entropy / dz_j = -p_j (log p_j + entropy),  d sumsq / dz_j = 2 p_j (p_j -
//   sumsq).
// A scaled and capped logit z = c tanh(s x / c) passes on s (1 - (z / c)^2) of it to x.
template <typename T>
[[gnu::always_inline]] inline void row_gradient_of(T* z, int64_t vocab, int64_t target, const double* row, T g_logp,
                                                   T g_entropy, T g_sumsq, T scale, T cap) {
  const T lse = static_cast<T>(row[0]), entropy = static_cast<T>(row[1]), sumsq = static_cast<T>(row[2]);
  if (target < 0) g_logp = 0;
  const T bend = cap > 0 ? 1 / cap : T(0);
  const T at_target = target < 0 ? T(0) : g_logp * scale * (1 - (z[target] * bend) * (z[target] * bend));
  for (int64_t j = 0; j < vocab; ++j) {
    const T log_p = z[j] - lse;
    const T p = exp_negative(log_p);
    const T g = p * (2 * g_sumsq * (p - sumsq) - g_entropy * (log_p + entropy) - g_logp);
    z[j] = (p > 0 ? g : T(0)) * scale * (1 - (z[j] * bend) * (z[j] * bend));
  }
  if (target >= 0) z[target] += at_target;
}
MERIT_CLONES void row_gradient(float* z, int64_t vocab, int64_t target, const double* row, float g_logp,
                               float g_entropy, float g_sumsq, float scale, float cap) {
  row_gradient_of(z, vocab, target, row, g_logp, g_entropy, g_sumsq, scale, cap);
}
void row_gradient(double* z, int64_t vocab, int64_t target, const double* row, double g_logp, double g_entropy,
                  double g_sumsq, double scale, double cap) {
  row_gradient_of(z, vocab, target, row, g_logp, g_entropy, g_sumsq, scale, cap);
}

// logits [16 k, V], the first `count` rows real -> their gradients in place, zero in the padding.
template <typename T>
void gradient_chunk(at::Tensor& logits, int64_t begin, int64_t count, const int64_t* targets, const at::Tensor& rows,
                    const at::Tensor& g_logp, const at::Tensor& g_entropy, const at::Tensor& g_sumsq,
                    const VocabProjection& projection) {
  const int64_t vocab = logits.size(1);
  T* data = logits.data_ptr<T>();
  at::parallel_for(0, count, 1, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t i = begin + r;
      row_gradient(data + r * vocab, vocab, targets[i], rows.const_data_ptr<double>() + 3 * i,
                   g_logp.const_data_ptr<T>()[i], g_entropy.const_data_ptr<T>()[i], g_sumsq.const_data_ptr<T>()[i],
                   static_cast<T>(projection.scale), static_cast<T>(projection.softcap));
    }
  });
  std::fill(data + count * vocab, data + logits.numel(), T(0));
}

struct ProjectionHolder : torch::CustomClassHolder {
  explicit ProjectionHolder(VocabProjection projection) : projection(std::move(projection)) {}
  VocabProjection projection;
};

// The inputs are the hidden states and, where it is a tensor of its own, the projection's weight.
class VocabFunction : public torch::autograd::Function<VocabFunction> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, at::TensorList in,
                                                const at::Tensor& targets,
                                                const c10::intrusive_ptr<ProjectionHolder>& holder) {
    Forward out = forward_pass(in[0], holder->projection, targets);
    context->save_for_backward({in[0], targets.contiguous(), out.rows});
    context->saved_data["projection"] = c10::IValue::make_capsule(holder);
    context->mark_non_differentiable({out.result.argmax});
    return {out.result.logp, out.result.entropy, out.result.sumsq, out.result.argmax};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &hidden = saved[0], &targets = saved[1], &rows = saved[2];
    const auto holder =
        c10::static_intrusive_pointer_cast<ProjectionHolder>(context->saved_data["projection"].toCapsule());
    const VocabProjection& projection = holder->projection;
    const at::NoGradGuard no_grad;
    const at::ScalarType type = result_type(hidden);
    const at::Tensor g_logp = grads[0].contiguous(), g_entropy = grads[1].contiguous(), g_sumsq = grads[2].contiguous();
    const bool dense = !projection.weight.is_stored();
    const bool want_hidden = context->needs_input_grad(0), want_projection = dense && context->needs_input_grad(1);
    const int64_t vocab = projection.weight.out_features();
    at::Tensor d_hidden = want_hidden ? at::empty(hidden.sizes(), hidden.options()) : at::Tensor();
    at::Tensor d_projection = want_projection ? at::zeros(projection.weight.dense().sizes(), type) : at::Tensor();
    const int64_t n = hidden.size(0);
    const int64_t chunk = chunk_rows(vocab, c10::elementSize(type));
    for (int64_t begin = 0; begin < n; begin += chunk) {
      const int64_t count = std::min(chunk, n - begin);
      const at::Tensor h = pad_rows(hidden.narrow(0, begin, count));
      at::Tensor dz = product(h, projection);
      if (type == at::kDouble) {
        gradient_chunk<double>(dz, begin, count, targets.data_ptr<int64_t>(), rows, g_logp, g_entropy, g_sumsq,
                               projection);
      } else {
        gradient_chunk<float>(dz, begin, count, targets.data_ptr<int64_t>(), rows, g_logp, g_entropy, g_sumsq,
                              projection);
      }
      if (want_hidden) {
        d_hidden.narrow(0, begin, count).copy_(projection.weight.multiply_back_wide(dz).narrow(0, 0, count));
      }
      if (want_projection) d_projection.addmm_(dz.t(), h.to(type));
    }
    torch::autograd::variable_list out = {d_hidden};
    if (dense) out.push_back(want_projection ? d_projection.to(projection.weight.dtype()) : at::Tensor());
    out.resize(out.size() + 2);
    return out;
  }
};

}  // namespace

RowSoftmax row_softmax(std::span<const float> logits) { return checked_row(logits); }
RowSoftmax row_softmax(std::span<const double> logits) { return checked_row(logits); }

VocabQuantities vocab_quantities(const at::Tensor& hidden, const VocabProjection& projection,
                                 const at::Tensor& targets) {
  return forward_pass(hidden, projection, targets).result;
}

VocabQuantities vocab_quantities_with_grad(const at::Tensor& hidden, const VocabProjection& projection,
                                           const at::Tensor& targets) {
  std::vector<at::Tensor> in = {hidden};
  if (!projection.weight.is_stored()) in.push_back(projection.weight.dense());
  const auto out = VocabFunction::apply(at::TensorList(in), targets, c10::make_intrusive<ProjectionHolder>(projection));
  return {out[0], out[1], out[2], out[3]};
}

at::Tensor vocab_logits(const at::Tensor& hidden, const VocabProjection& projection) {
  check_operands(hidden, projection.weight);
  const at::NoGradGuard no_grad;
  const int64_t n = hidden.size(0);
  if (n == 0) return at::empty({0, projection.weight.out_features()}, result_type(hidden));
  return product(pad_rows(hidden), projection).narrow(0, 0, n);
}

}  // namespace merit::nn
