#include "merit/text/encoding_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "merit/core/error.h"
#include "merit/core/file.h"
#include "merit/core/strings.h"
#include "merit/text/template.h"

namespace merit::text {

namespace {

const char* name_of(Boundary boundary) { return boundary == Boundary::kSplit ? "split" : "joint"; }
const char* name_of(TruncationSide side) { return side == TruncationSide::kLeft ? "left" : "right"; }

// The identity fields in order, each as text: what is compared, and what names a difference.
std::vector<std::pair<const char*, std::string>> identity(const EncodingRecord& r) {
  const auto flag = [](bool b) { return std::string(b ? "true" : "false"); };
  return {{"chat_template", r.chat_template},
          {"tool_template", r.tool_template},
          {"bos_token", r.bos_token},
          {"eos_token", r.eos_token},
          {"add_bos", flag(r.add_bos)},
          {"end_of_turn", r.end_of_turn},
          {"append_end", flag(r.append_end)},
          {"boundary", name_of(r.boundary)},
          {"truncation_side", name_of(r.truncation_side)},
          {"pooling", r.pooling},
          {"head_activation", r.head_activation},
          {"safe_content", flag(r.safe_content)},
          {"raw_prompt", r.raw_prompt},
          {"system_role", r.system_role},
          {"repeated_turns", r.repeated_turns},
          {"date", r.date}};
}

// The value of a member that must be one of a few words.
std::string one_of(const Json& json, const char* key, std::initializer_list<const char*> words,
                   const std::string& where, const char* fallback = nullptr) {
  const std::string value = fallback ? get_string_or(json, key, fallback, where) : get_string(json, key, where);
  if (std::find(words.begin(), words.end(), value) == words.end()) {
    fail(ErrorKind::kData, "{}: \"{}\" must be one of {}, got {}", where, key, fmt::join(words, ", "), quote(value));
  }
  return value;
}

}  // namespace

OrderedJson EncodingRecord::to_json() const {
  OrderedJson out;
  out["version"] = kVersion;
  out["chat_template"] = chat_template;
  out["tool_template"] = tool_template;
  out["bos_token"] = bos_token;
  out["eos_token"] = eos_token;
  out["add_bos"] = add_bos;
  out["end_of_turn"] = end_of_turn;
  out["append_end"] = append_end;
  out["boundary"] = name_of(boundary);
  out["truncation_side"] = name_of(truncation_side);
  out["pooling"] = pooling;
  out["head_activation"] = head_activation;
  out["safe_content"] = safe_content;
  out["raw_prompt"] = raw_prompt;
  out["system_role"] = system_role;
  out["repeated_turns"] = repeated_turns;
  out["date"] = date;
  out["max_length"] = max_length;
  if (derived) {
    out["derived"] = true;
    out["reasons"] = OrderedJson::object();
    for (const auto& [field, reason] : reasons) out["reasons"][field] = reason;
  }
  return out;
}

EncodingRecord EncodingRecord::from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) fail(ErrorKind::kData, "{}: an encoding record is an object", where);
  const int64_t version = get_int(json, "version", where);
  if (version != kVersion) {
    fail(ErrorKind::kUnsupported, "{}: encoding record of version {}, this program reads {}", where, version, kVersion);
  }
  EncodingRecord r;
  std::set<std::string> known = {"version", "max_length", "derived", "reasons"};
  for (const auto& [name, value] : identity(r)) known.insert(name);
  for (const auto& [name, value] : json.items()) {
    if (known.count(name) == 0)
      fail(ErrorKind::kData, "{}: unknown member {} in an encoding record", where, quote(name));
  }
  r.chat_template = get_string(json, "chat_template", where);
  r.tool_template = get_string_or(json, "tool_template", "", where);
  r.bos_token = get_string(json, "bos_token", where);
  r.eos_token = get_string(json, "eos_token", where);
  r.add_bos = get_bool(json, "add_bos", where);
  r.end_of_turn = get_string(json, "end_of_turn", where);
  r.append_end = get_bool(json, "append_end", where);
  r.boundary = one_of(json, "boundary", {"split", "joint"}, where) == "split" ? Boundary::kSplit : Boundary::kJoint;
  r.truncation_side = one_of(json, "truncation_side", {"left", "right"}, where) == "left" ? TruncationSide::kLeft
                                                                                          : TruncationSide::kRight;
  r.pooling = one_of(json, "pooling", {"last"}, where);
  r.head_activation = one_of(json, "head_activation", {"none"}, where);
  r.safe_content = get_bool(json, "safe_content", where);
  r.raw_prompt = one_of(json, "raw_prompt", {"wrap", "raw"}, where);
  r.system_role = one_of(json, "system_role", {"template", "merge"}, where, "template");
  r.repeated_turns = one_of(json, "repeated_turns", {"template", "merge"}, where, "template");
  r.date = get_string(json, "date", where);
  if (r.date != "now" && !is_date(r.date)) {
    fail(ErrorKind::kData, "{}: \"date\" must be YYYY-MM-DD or now, got {}", where, quote(r.date));
  }
  const int64_t max_length = get_int_or(json, "max_length", 0, where);
  if (max_length < 0 || max_length > (1 << 30)) {
    fail(ErrorKind::kData, "{}: \"max_length\" must be 0 to 2^30, got {}", where, max_length);
  }
  r.max_length = static_cast<int>(max_length);
  r.derived = get_bool_or(json, "derived", false, where);
  if (json.contains("reasons")) {
    if (!json.at("reasons").is_object()) fail(ErrorKind::kData, "{}: \"reasons\" must be an object", where);
    for (const auto& [field, reason] : json.at("reasons").items()) {
      r.reasons.emplace_back(field, get_string(json.at("reasons"), field, where));
    }
  }
  if (r.add_bos && r.bos_token.empty()) fail(ErrorKind::kData, "{}: add_bos without a bos_token", where);
  if (r.append_end && r.end_of_turn.empty()) fail(ErrorKind::kData, "{}: append_end without an end_of_turn", where);
  return r;
}

std::string encoding_path(const std::string& path) {
  if (std::filesystem::is_directory(path)) return (std::filesystem::path(path) / EncodingRecord::kFileName).string();
  return path + "." + EncodingRecord::kFileName;
}

namespace {

std::optional<EncodingRecord> stored(const std::string& path) {
  const std::string file = encoding_path(path);
  if (!std::filesystem::exists(file)) return std::nullopt;
  return EncodingRecord::from_json(parse_json(read_file(file), file), file);
}

}  // namespace

EncodingRecord load_encoding(const std::string& path, const Tokenizer& tokenizer) {
  if (std::optional<EncodingRecord> record = stored(path)) return *record;
  return derive_encoding(path, tokenizer);
}

void save_encoding(const EncodingRecord& record, const std::string& path) {
  write_file_atomic(encoding_path(path), record.to_json().dump(2) + "\n");
}

std::optional<std::string> difference(const EncodingRecord& a, const EncodingRecord& b) {
  const auto left = identity(a);
  const auto right = identity(b);
  for (size_t i = 0; i < left.size(); ++i) {
    if (left[i].second == right[i].second) continue;
    std::string_view x = left[i].second;
    std::string_view y = right[i].second;
    const char* place = "";
    if (i < 2 && !x.empty() && !y.empty()) {
      // Two long templates: from where they part.
      const size_t same = static_cast<size_t>(std::mismatch(x.begin(), x.end(), y.begin(), y.end()).first - x.begin());
      const size_t from = same > 10 ? same - 10 : 0;
      x = x.substr(std::min(from, x.size()));
      y = y.substr(std::min(from, y.size()));
      place = " at";
    }
    return fmt::format("{} differs{}: {} against {}", left[i].first, place, quote(x), quote(y));
  }
  return std::nullopt;
}

void require_same(const EncodingRecord& a, const std::string& name_a, const EncodingRecord& b,
                  const std::string& name_b) {
  if (const std::optional<std::string> what = difference(a, b)) {
    fail(ErrorKind::kData, "{} and {} are fed differently: {}; scores would not compare", name_a, name_b, *what);
  }
}

}  // namespace merit::text
