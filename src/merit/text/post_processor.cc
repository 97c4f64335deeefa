#include "merit/text/post_processor.h"

#include <algorithm>

#include "merit/text/tokenizer_fields.h"
#include "merit/text/tokenizer_model.h"

namespace merit::text {
namespace {

TokenId checked_id(int64_t id, const std::string& where) {
  if (id < 0 || id > Vocabulary::kMaxId) {
    fail(ErrorKind::kData, "{}: expected an id from 0 to {}, got {}", where, Vocabulary::kMaxId, id);
  }
  return static_cast<TokenId>(id);
}

// A ["text", id] pair.
TokenId pair_id(const Json& json, const std::string& where) {
  if (!json.is_array() || json.size() != 2 || !json[0].is_string() || !json[1].is_number_integer()) {
    fail(ErrorKind::kData, "{}: expected a token and its id", where);
  }
  return checked_id(json[1].get<int64_t>(), where);
}

std::vector<TokenId> special_ids(const std::string& name, const Json& specials, const std::string& where) {
  const auto it = specials.find(name);
  if (it == specials.end()) fail(ErrorKind::kData, "{}: special token {} is not described", where, quote(name));
  Fields fields(*it, where + ".special_tokens");
  const Json& ids = fields.need("ids");
  if (!ids.is_array()) fail(ErrorKind::kData, "{}: expected an array", fields.at("ids"));
  std::vector<TokenId> out;
  for (const Json& id : ids) {
    if (!id.is_number_integer()) fail(ErrorKind::kData, "{}: expected ids, got {}", fields.at("ids"), id.type_name());
    out.push_back(checked_id(id.get<int64_t>(), fields.at("ids")));
  }
  return out;
}

// A template of two texts. Files have such that no one uses: what is no A then B gives none, and no error.
std::optional<PairProcessor> make_pair(const Json& pair, const Json& specials, const std::string& where) {
  PairProcessor out;
  std::vector<TokenId>* part = &out.before;
  int64_t type = 0;
  if (!pair.is_array()) return std::nullopt;
  for (const Json& piece : pair) {
    if (!piece.is_object() || piece.size() != 1) return std::nullopt;
    const Json& what = piece.begin().value();
    if (!what.is_object() || !what.contains("id") || !what["id"].is_string()) return std::nullopt;
    const int64_t piece_type = get_int_or(what, "type_id", 0, where);
    if (piece_type != type) {
      if (piece_type != 1 || type != 0 || part != &out.between) return std::nullopt;
      type = 1;
      out.second_type = out.between.size();
    }
    const std::string id = what["id"];
    if (piece.begin().key() == "SpecialToken") {
      const std::vector<TokenId> ids = special_ids(id, specials, where);
      part->insert(part->end(), ids.begin(), ids.end());
    } else if (id == "A" && part == &out.before) {
      part = &out.between;
    } else if (id == "B" && part == &out.between) {
      part = &out.after;
    } else {
      return std::nullopt;
    }
  }
  return part == &out.after ? std::optional(out) : std::nullopt;
}

PostProcessor make_template(Fields& fields) {
  const Json& single = fields.need("single");
  const Json* pair = fields.find("pair");
  const Json* described = fields.find("special_tokens");
  const Json specials = described ? *described : Json::object();
  if (!single.is_array() || !specials.is_object()) {
    fail(ErrorKind::kData, "{}: expected an array in single and an object in special_tokens", fields.where());
  }
  PostProcessor out;
  bool seen = false;
  for (size_t i = 0; i < single.size(); ++i) {
    Fields piece(single[i], fmt::format("{}[{}]", fields.at("single"), i));
    if (const Json* special = piece.find("SpecialToken")) {
      const auto ids = special_ids(get_string(*special, "id", piece.where()), specials, fields.where());
      std::vector<TokenId>& side = seen ? out.after : out.before;
      side.insert(side.end(), ids.begin(), ids.end());
    } else {
      const Json& sequence = piece.need("Sequence");
      if (get_string(sequence, "id", piece.where()) != "A" || seen) {
        fail(ErrorKind::kUnsupported, "{}: expected the text A exactly once", fields.at("single"));
      }
      seen = true;
    }
    piece.done();
  }
  if (!seen) fail(ErrorKind::kUnsupported, "{}: expected the text A exactly once", fields.at("single"));
  if (pair) out.pair = make_pair(*pair, specials, fields.where());
  return out;
}

PostProcessor make(const Json& json, const std::string& where, int depth) {
  if (depth > 16) fail(ErrorKind::kLimit, "{}: post-processors nest deeper than 16", where);
  Fields fields(json, where);
  const std::string type = fields.string("type");
  PostProcessor out;
  if (type == "ByteLevel") {
    for (const char* key : {"add_prefix_space", "trim_offsets", "use_regex"}) fields.ignore(key);  // offsets only
  } else if (type == "TemplateProcessing") {
    out = make_template(fields);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    out.before = {pair_id(fields.need("cls"), fields.at("cls"))};
    out.after = {pair_id(fields.need("sep"), fields.at("sep"))};
    // RoBERTa sets two separators between the texts, and has one token type.
    out.pair = PairProcessor{out.before, out.after, out.after, 1};
    if (type == "RobertaProcessing") out.pair = PairProcessor{out.before, {out.after[0], out.after[0]}, out.after, {}};
    for (const char* key : {"trim_offsets", "add_prefix_space"}) fields.ignore(key);
  } else if (type == "Sequence") {
    const Json& list = fields.need("processors");
    if (!list.is_array()) fail(ErrorKind::kData, "{}: expected an array", fields.at("processors"));
    for (size_t i = 0; i < list.size(); ++i) {
      const PostProcessor next = make(list[i], fmt::format("{}[{}]", fields.at("processors"), i), depth + 1);
      const bool sets = !next.before.empty() || !next.after.empty();
      if (sets && !(out.before.empty() && out.after.empty())) {
        // The reference reads the first one's special tokens as a text of their own in the second.
        fail(ErrorKind::kUnsupported, "{}: two post-processors that set special tokens", fields.at("processors"));
      }
      out.before.insert(out.before.begin(), next.before.begin(), next.before.end());
      out.after.insert(out.after.end(), next.after.begin(), next.after.end());
      if (next.pair) out.pair = next.pair;
    }
  } else {
    fail(ErrorKind::kUnsupported, "{}: post-processor {} is not supported", where, quote(type));
  }
  fields.done();
  return out;
}

}  // namespace

PostProcessor make_post_processor(const Json& json, const std::string& where) {
  return json.is_null() ? PostProcessor{} : make(json, where, 0);
}

}  // namespace merit::text
