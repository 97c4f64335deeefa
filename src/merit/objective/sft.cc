#include "merit/objective/sft.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>

#include "merit/objective/reduce.h"

namespace merit::objective {
namespace {

enum class SftType { kNll, kDft };

struct SftOptions {
  SftType loss_type = SftType::kNll;
};

const FieldList<SftOptions>& sft_fields() {
  static const FieldList<SftOptions> list = FieldList<SftOptions>("sft").choice(
      "loss_type", &SftOptions::loss_type, {"nll", "dft"}, "nll, or dft: tokens weighted by their probability");
  return list;
}

class Sft : public Loss {
 public:
  explicit Sft(const SftOptions& options) : options_(options) {}

  Needs needs() const override { return kLogps; }

  std::vector<at::Tensor> weights(const Batch& batch) const override { return {sequence_lengths(batch.token_begin)}; }

 protected:
  Result compute(const Batch& batch) const override {
    const at::Tensor logps = batch.logps.to(at::kDouble);
    const at::Tensor loss = options_.loss_type == SftType::kDft ? -logps * at::exp(logps.detach()) : -logps;
    const at::Tensor lengths = sequence_lengths(batch.token_begin).to(logps.device());
    return {{{Item::kSequence, sequence_sums(loss, batch.token_begin) / lengths, {}}}, {}};
  }

 private:
  SftOptions options_;
};

}  // namespace

Objective sft() {
  return {"sft", "Wu et al. 2025 (dft)",
          "nll: -ln p(y_t), mean over completion tokens\n"
          "dft: -sg(p(y_t)) ln p(y_t), mean over completion tokens",
          sft_fields().fields(), [](const Json& settings) -> std::unique_ptr<Loss> {
            return std::make_unique<Sft>(sft_fields().parse(settings));
          }};
}

}  // namespace merit::objective
