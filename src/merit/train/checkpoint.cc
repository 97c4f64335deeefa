#include "merit/train/checkpoint.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "merit/core/error.h"
#include "merit/core/file.h"

namespace merit::train {
namespace fs = std::filesystem;
namespace {

constexpr const char* kPrefix = "step-";
constexpr const char* kBest = "best.safetensors";
constexpr const char* kSchema = "merit.checkpoint/1";

// Whole checkpoints, the oldest first.
std::vector<fs::path> whole_ones(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) && fs::exists(entry.path() / "state.json")) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The first member of two records that differs, for a message.
std::string difference(const OrderedJson& was, const OrderedJson& is) {
  for (const auto& [key, value] : is.items()) {
    const auto old = was.find(key);
    if (old == was.end()) return fmt::format("{} is new", key);
    if (*old != value) {
      if (value.is_object() && old->is_object()) return difference(*old, value);
      return fmt::format("{} was {}, is {}", key, quote(old->dump()), quote(value.dump()));
    }
  }
  return "the set of options";
}

}  // namespace

Checkpoints::Checkpoints(fs::path folder, OrderedJson identity, int64_t keep)
    : folder_(std::move(folder)), identity_(std::move(identity)), keep_(keep) {}

void Checkpoints::save(const RunState& state, const AdamW& optimiser, const objective::Loss& loss) {
  const fs::path target = folder_ / fmt::format("{}{:08}", kPrefix, state.step);
  const fs::path building = folder_ / "building";
  std::error_code error;
  fs::remove_all(building, error);
  fs::create_directories(building);
  nn::save_tensors(building / "trainer.safetensors", optimiser.save());
  nn::NamedTensors own;
  for (const auto& [name, tensor] : loss.save()) own.emplace_back(name, tensor);
  nn::save_tensors(building / "objective.safetensors", own);
  const OrderedJson json = {{"schema", kSchema},
                            {"step", state.step},
                            {"threads", state.threads},
                            {"metric_bytes", state.metric_bytes},
                            {"best_loss", state.best_loss},
                            {"evaluations", state.evaluations},
                            {"since_best", state.since_best},
                            {"evaluated", state.evaluated},
                            {"window", state.window},
                            {"identity", identity_}};
  write_file_atomic(building / "state.json", json.dump(1) + "\n");
  fs::remove_all(target, error);
  fs::rename(building, target, error);
  if (error) fail(ErrorKind::kIo, "cannot write the checkpoint {}: {}", target.string(), error.message());
  std::vector<fs::path> all = whole_ones(folder_);
  for (size_t i = 0; i + static_cast<size_t>(std::max<int64_t>(1, keep_)) < all.size(); ++i) fs::remove_all(all[i]);
}

void Checkpoints::save_best(std::span<const Parameter> parameters) {
  fs::create_directories(folder_);
  nn::NamedTensors tensors;
  for (const Parameter& parameter : parameters) tensors.emplace_back(parameter.name, parameter.value.detach());
  nn::save_tensors(folder_ / kBest, tensors);
}

void Checkpoints::load_best(std::span<const Parameter> parameters) {
  const at::NoGradGuard no_grad;
  const auto tensors = nn::load_tensors(folder_ / kBest);
  for (const Parameter& parameter : parameters) {
    at::Tensor value = parameter.value;
    value.copy_(tensors.at(parameter.name));
  }
}

std::optional<RunState> Checkpoints::load(AdamW& optimiser, objective::Loss& loss, int64_t threads) {
  const std::vector<fs::path> all = whole_ones(folder_);
  if (all.empty()) return std::nullopt;
  const std::string where = (all.back() / "state.json").string();
  const OrderedJson json = parse_ordered_json(read_file(where), where);
  const OrderedJson was = json.value("identity", OrderedJson::object());
  if (was != identity_) {
    fail(ErrorKind::kUsage, "{}: the checkpoint is of another run: {}; give --overwrite or another --out",
         folder_.string(), difference(was, identity_));
  }
  RunState state;
  state.step = json.at("step").get<int64_t>();
  state.threads = json.at("threads").get<int64_t>();
  state.metric_bytes = json.at("metric_bytes").get<uint64_t>();
  state.best_loss = json.at("best_loss").get<double>();
  state.evaluations = json.at("evaluations").get<int64_t>();
  state.since_best = json.at("since_best").get<int64_t>();
  state.evaluated = json.at("evaluated").get<int64_t>();
  state.window = json.at("window");
  if (state.threads != threads) {
    fail(ErrorKind::kUsage,
         "{}: the run was made with {} threads and this one has {}, which changes the last bits: set "
         "OMP_NUM_THREADS={}, or give --overwrite",
         folder_.string(), state.threads, threads, state.threads);
  }
  optimiser.load(nn::load_tensors(all.back() / "trainer.safetensors"), (all.back() / "trainer.safetensors").string());
  objective::Loss::State own;
  for (auto& [name, tensor] : nn::load_tensors(all.back() / "objective.safetensors")) own[name] = tensor;
  loss.load(own);
  return state;
}

}  // namespace merit::train
