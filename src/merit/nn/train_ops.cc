#include "merit/nn/train_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/threshold_backward.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

#include "merit/core/error.h"

namespace merit::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What a product is beside its tensors, which stand in one list: x, the weight if it is one, the bias if there is one,
// then A and B of each piece.
struct ProductPlan : torch::CustomClassHolder {
  Matrix stored;  // if the weight is no tensor
  bool dense = false;
  bool biased = false;
  struct Piece {
    RowRange rows;
    double scale;
  };
  std::vector<Piece> pieces;

  size_t bias() const { return dense ? 2 : 1; }
  size_t lora(size_t piece) const { return bias() + (biased ? 1 : 0) + 2 * piece; }
};

// Of an adapted matrix x is all that is saved: x A^T is small work.
class Product : public torch::autograd::Function<Product> {
 public:
  static at::Tensor forward(AutogradContext* context, at::TensorList in, const c10::intrusive_ptr<ProductPlan>& plan) {
    const at::Tensor& x = in[0];
    const at::Tensor bias = plan->biased ? in[plan->bias()] : at::Tensor();
    at::Tensor y = plan->dense ? at::linear(x, in[1], bias.defined() ? c10::optional<at::Tensor>(bias) : c10::nullopt)
                               : plan->stored.multiply(pad_rows(x), bias).narrow(0, 0, x.size(0));
    for (size_t i = 0; i < plan->pieces.size(); ++i) {
      const auto& [rows, scale] = plan->pieces[i];
      const at::Tensor &a = in[plan->lora(i)], &b = in[plan->lora(i) + 1];
      y.narrow(1, rows.begin, rows.count).addmm_(at::mm(x, a.t()), b.t(), 1, scale);
    }
    variable_list saved(in.begin(), in.end());
    const bool reads_x = !plan->pieces.empty() || (plan->dense && in[1].requires_grad());
    if (!reads_x) saved[0] = at::Tensor();
    context->save_for_backward(std::move(saved));
    context->saved_data["plan"] = c10::IValue::make_capsule(plan);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list in = context->get_saved_variables();
    const auto plan = c10::static_intrusive_pointer_cast<ProductPlan>(context->saved_data["plan"].toCapsule());
    const at::Tensor& x = in[0];
    const at::Tensor dy = grads[0].contiguous();
    variable_list out(in.size() + 1);
    if (context->needs_input_grad(0)) out[0] = plan->dense ? at::mm(dy, in[1]) : plan->stored.multiply_back(dy);
    if (plan->dense && context->needs_input_grad(1)) out[1] = at::mm(dy.t(), x);
    if (plan->biased && context->needs_input_grad(plan->bias())) out[plan->bias()] = dy.sum(0);
    for (size_t i = 0; i < plan->pieces.size(); ++i) {
      const size_t at = plan->lora(i);
      const auto& [rows, scale] = plan->pieces[i];
      const at::Tensor part = dy.narrow(1, rows.begin, rows.count);
      const at::Tensor inner = at::mm(part, in[at + 1]).mul_(scale);  // [rows, rank]
      if (out[0].defined()) out[0].addmm_(inner, in[at]);
      if (context->needs_input_grad(at)) out[at] = at::mm(inner.t(), x);
      if (context->needs_input_grad(at + 1)) out[at + 1] = at::mm(part.t(), at::mm(x, in[at].t())).mul_(scale);
    }
    return out;
  }
};

class RmsNorm : public torch::autograd::Function<RmsNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double eps) {
    const at::Tensor scale = at::rsqrt(x.square().mean(-1, true).add_(eps));
    context->save_for_backward({x, weight, scale});
    return (x * scale).mul_(weight);
  }

  // With n = x s and s = (mean(x^2) + eps)^-1/2:  dx = s (g w - n mean(g w n)).
  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &scale = saved[2];
    const at::Tensor normal = x * scale;
    at::Tensor d_x, d_weight;
    if (context->needs_input_grad(1)) {
      d_weight = (grads[0] * normal).reshape({-1, weight.numel()}).sum(0);
    }
    if (context->needs_input_grad(0)) {
      const at::Tensor g = grads[0] * weight;
      d_x = (g - normal * (g * normal).mean(-1, true)).mul_(scale);
    }
    return {d_x, d_weight, at::Tensor()};
  }
};

at::Tensor act(const at::Tensor& x, Activation kind) {
  switch (kind) {
    case Activation::kSilu:
      return at::silu(x);
    case Activation::kGelu:
      return at::gelu(x);
    case Activation::kGeluTanh:
      return at::gelu(x, "tanh");
    case Activation::kRelu:
      return at::relu(x);
  }
  MERIT_CHECK(false);
  return x;
}

at::Tensor act_backward(const at::Tensor& grad, const at::Tensor& x, Activation kind) {
  switch (kind) {
    case Activation::kSilu:
      return at::silu_backward(grad, x);
    case Activation::kGelu:
      return at::gelu_backward(grad, x);
    case Activation::kGeluTanh:
      return at::gelu_backward(grad, x, "tanh");
    case Activation::kRelu:
      return at::threshold_backward(grad, x, 0);
  }
  MERIT_CHECK(false);
  return grad;
}

class Activated : public torch::autograd::Function<Activated> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, int64_t kind, bool gated) {
    context->save_for_backward({x});
    context->saved_data["kind"] = kind;
    context->saved_data["gated"] = gated;
    const auto activation = static_cast<Activation>(kind);
    if (!gated) return act(x, activation);
    const int64_t columns = x.size(1) / 2;
    return act(x.narrow(1, 0, columns), activation).mul_(x.narrow(1, columns, columns));
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const at::Tensor x = context->get_saved_variables()[0];
    const auto kind = static_cast<Activation>(context->saved_data["kind"].toInt());
    if (!context->saved_data["gated"].toBool()) return {act_backward(grads[0], x, kind), at::Tensor(), at::Tensor()};
    const int64_t columns = x.size(1) / 2;
    const at::Tensor gate = x.narrow(1, 0, columns), up = x.narrow(1, columns, columns);
    at::Tensor d_x = at::empty_like(x);
    d_x.narrow(1, 0, columns).copy_(act_backward(grads[0] * up, gate, kind));
    d_x.narrow(1, columns, columns).copy_(act(gate, kind).mul_(grads[0]));
    return {d_x, at::Tensor(), at::Tensor()};
  }
};

// The norm of each row of W + scale B A, a constant for gradients: [rows.count, 1].
at::Tensor row_norms(const Linear& linear, const LoraPiece& piece) {
  const at::NoGradGuard no_grad;
  const at::Tensor rows = linear.weight().narrow(0, piece.rows.begin, piece.rows.count);
  return (rows.to(piece.b.scalar_type()) + at::mm(piece.b, piece.a) * piece.scale).norm(2, 1);
}

}  // namespace

at::Tensor adapted_product(const Linear& linear, const at::Tensor& x, const LoraPieces& pieces) {
  const at::ScalarType dtype = x.scalar_type();
  auto plan = c10::make_intrusive<ProductPlan>();
  const bool dora = std::any_of(pieces.begin(), pieces.end(), [](const auto& p) { return p.magnitude.defined(); });
  const at::Tensor& bias = linear.bias();
  plan->dense = !linear.matrix().is_stored();
  plan->biased = bias.defined() && !dora;  // a magnitude does not touch the bias
  std::vector<at::Tensor> in = {x};
  if (plan->dense) {
    in.push_back(linear.weight().to(dtype));
  } else {
    plan->stored = linear.matrix();
  }
  if (plan->biased) in.push_back(bias.to(dtype));
  for (const LoraPiece& piece : pieces) {
    plan->pieces.push_back({piece.rows, piece.scale});
    in.push_back(piece.a.to(dtype));
    in.push_back(piece.b.to(dtype));
  }
  const at::Tensor y = Product::apply(at::TensorList(in), plan);
  if (!dora) return y;
  at::Tensor factor = at::zeros({linear.out_features()}, y.options()) + 1;
  for (const LoraPiece& piece : pieces) {
    if (!piece.magnitude.defined()) continue;
    std::vector<at::Tensor> parts = {
        factor.narrow(0, 0, piece.rows.begin), (piece.magnitude / row_norms(linear, piece)).to(dtype),
        factor.narrow(0, piece.rows.begin + piece.rows.count, factor.size(0) - piece.rows.begin - piece.rows.count)};
    factor = at::cat(parts);
  }
  return bias.defined() ? y * factor + bias.to(dtype) : y * factor;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return RmsNorm::apply(x.to(weight.scalar_type()), weight, eps).to(x.scalar_type());
}

at::Tensor activated(const at::Tensor& x, Activation kind, bool gated) {
  return Activated::apply(x, static_cast<int64_t>(kind), gated);
}

}  // namespace merit::nn
