#include "merit/nn/recompute.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace merit::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Step = std::function<at::Tensor(const at::Tensor&)>;

struct StepHolder : torch::CustomClassHolder {
  explicit StepHolder(Step step) : step(std::move(step)) {}
  Step step;
};

class Function : public torch::autograd::Function<Function> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const c10::intrusive_ptr<StepHolder>& step) {
    context->save_for_backward({x});
    context->saved_data["step"] = c10::IValue::make_capsule(step);
    const at::NoGradGuard no_grad;
    return step->step(x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto step = c10::static_intrusive_pointer_cast<StepHolder>(context->saved_data["step"].toCapsule());
    const at::AutoGradMode with_grad(true);
    const at::Tensor x = context->get_saved_variables()[0].detach().requires_grad_(true);
    torch::autograd::backward({step->step(x)}, {grads[0]});
    return {x.grad(), at::Tensor()};
  }
};

}  // namespace

at::Tensor recomputed(const at::Tensor& x, std::function<at::Tensor(const at::Tensor&)> step) {
  return Function::apply(x, c10::make_intrusive<StepHolder>(std::move(step)));
}

}  // namespace merit::nn
