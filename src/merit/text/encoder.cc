#include "merit/text/encoder.h"

#include <algorithm>

#include "merit/core/error.h"
#include "merit/text/message_policies.h"

namespace merit::text {

struct Encoder::Piece {
  std::vector<TokenId> ids;
  std::vector<ByteRange> ranges;
  std::vector<bool> mask;

  void erase_from(size_t i) {
    ids.resize(i);
    ranges.resize(i);
    mask.resize(i);
  }
  void erase_front(size_t n) {
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n));
    ranges.erase(ranges.begin(), ranges.begin() + static_cast<std::ptrdiff_t>(n));
    mask.erase(mask.begin(), mask.begin() + static_cast<std::ptrdiff_t>(n));
  }
};

struct Encoder::Turn {
  Rendered prompt;
  Rendered answer;
  bool all_assistant = true;  // nobody but the assistant has a part in the answer
};

namespace {

bool overlaps(const ByteRange& a, const ByteRange& b) { return a.begin < b.end && b.begin < a.end; }

bool overlaps_any(const std::vector<ByteRange>& ranges, const ByteRange& range) {
  const auto at =
      std::partition_point(ranges.begin(), ranges.end(), [&](const ByteRange& r) { return r.end <= range.begin; });
  return at != ranges.end() && overlaps(*at, range);
}

std::vector<ByteRange> shifted(const std::vector<ByteRange>& ranges, size_t begin, size_t end, size_t add) {
  std::vector<ByteRange> out;
  for (const ByteRange& r : ranges) {
    const ByteRange cut{std::max(r.begin, begin), std::min(r.end, end)};
    if (cut.begin < cut.end) out.push_back({cut.begin - begin + add, cut.end - begin + add});
  }
  return out;
}

// Bytes [begin, end) of a render.
Rendered part(const Rendered& whole, size_t begin, size_t end) {
  return {whole.text.substr(begin, end - begin), shifted(whole.content, begin, end, 0),
          shifted(whole.assistant, begin, end, 0), shifted(whole.generation, begin, end, 0)};
}

Rendered joined(const Rendered& a, const Rendered& b) {
  Rendered out = a;
  const size_t n = a.text.size();
  out.text += b.text;
  for (auto [to, from] :
       {std::pair{&out.content, &b.content}, {&out.assistant, &b.assistant}, {&out.generation, &b.generation}}) {
    for (const ByteRange& r : shifted(*from, 0, b.text.size(), n)) to->push_back(r);
  }
  return out;
}

Rendered plain_text(const std::string& text) {
  const std::vector<ByteRange> all = text.empty() ? std::vector<ByteRange>{} : std::vector<ByteRange>{{0, text.size()}};
  return {text, all, all, {}};
}

size_t common_prefix(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

// Messages as transformers hands them to a template: null members dropped, reasoning under each name in use.
OrderedJson prepared(const OrderedJson& messages) {
  OrderedJson out = OrderedJson::array();
  for (const OrderedJson& message : messages) {
    OrderedJson copy = OrderedJson::object();
    OrderedJson reasoning;
    for (const char* name : {"reasoning", "thinking", "reasoning_content"}) {
      if (message.contains(name) && !message.at(name).is_null()) reasoning = message.at(name);
    }
    if (!reasoning.is_null() && (!message.contains("thinking") || message.at("thinking").is_null())) {
      copy["thinking"] = reasoning;
    }
    for (const auto& [name, value] : message.items()) {
      if (!value.is_null()) copy[name] = value;
    }
    if (!reasoning.is_null()) copy["reasoning_content"] = reasoning;
    out.push_back(std::move(copy));
  }
  return out;
}

bool is_assistant(const OrderedJson& message) { return message.contains("role") && message.at("role") == "assistant"; }

// The text of a single assistant message that closes a thinking block it does not open, while the prompt opens one.
const std::string* continues_thinking(const OrderedJson& answer, const Rendered& prompt) {
  if (answer.size() != 1 || !is_assistant(answer[0]) || !answer[0].contains("content")) return nullptr;
  if (!answer[0].at("content").is_string()) return nullptr;
  const std::string& text = answer[0].at("content").get_ref<const std::string&>();
  const size_t closes = text.find("</think>");
  if (closes == std::string::npos || text.find("<think>") < closes) return nullptr;
  const size_t opened = prompt.text.rfind("<think>");
  const size_t closed = prompt.text.rfind("</think>");
  const bool open = opened != std::string::npos && (closed == std::string::npos || closed < opened);
  return open && !overlaps_any(prompt.content, {opened, opened + 7}) ? &text : nullptr;
}

template <typename Body>
Result<Encoded> as_result(Body body) {
  try {
    return body();
  } catch (const Error& e) {
    return e;
  }
}

}  // namespace

Encoder::Encoder(Tokenizer tokenizer, EncodingRecord record)
    : tokenizer_(std::move(tokenizer)), record_(std::move(record)) {
  if (!record_.chat_template.empty()) template_ = ChatTemplate::compile(record_.chat_template, "chat template");
  if (!record_.tool_template.empty()) tool_template_ = ChatTemplate::compile(record_.tool_template, "tool template");
  clock_ = record_.date == "now" ? system_clock() : fixed_clock(record_.date);
  const auto id_of = [&](const std::string& token, const char* field) {
    const std::optional<TokenId> id = tokenizer_.token_to_id(token);
    if (!id) fail(ErrorKind::kData, "encoding record: {} {} is not in the tokenizer", field, quote(token));
    return *id;
  };
  if (record_.add_bos) bos_ = id_of(record_.bos_token, "bos_token");
  if (!record_.end_of_turn.empty()) end_ = id_of(record_.end_of_turn, "end_of_turn");
  if (end_) stop_ids_.push_back(*end_);
  if (!record_.eos_token.empty()) {
    const TokenId eos = id_of(record_.eos_token, "eos_token");
    if (!end_ || eos != *end_) stop_ids_.push_back(eos);
  }
  EncodeOptions bare;
  bare.add_special_tokens = false;
  const std::vector<TokenId> seam = tokenizer_.encode("\n", bare);
  const std::vector<TokenId> with = tokenizer_.encode("\na", bare);
  const bool separable = with.size() > seam.size() && std::equal(seam.begin(), seam.end(), with.begin());
  if (separable && std::vector<TokenId>(with.begin() + static_cast<std::ptrdiff_t>(seam.size()), with.end()) !=
                       tokenizer_.encode("a", bare)) {
    seam_ = seam;
  }
}

const ChatTemplate* Encoder::template_for(const EncodeContext& context) const {
  if (tool_template_ && !context.tools.is_null()) return &*tool_template_;
  return template_ ? &*template_ : nullptr;
}

Rendered Encoder::render(const OrderedJson& messages, bool generation_prompt, const EncodeContext& context) const {
  const ChatTemplate* const used = template_for(context);
  if (used == nullptr) {
    fail(ErrorKind::kUnsupported,
         "messages, but the model has no chat template; give plain text, or set chat_template "
         "in its encoding record");
  }
  OrderedJson inputs = context.variables.is_object() ? context.variables : OrderedJson::object();
  inputs["messages"] = prepared(with_policies(messages, record_));
  inputs["tools"] = context.tools;
  inputs["documents"] = context.documents;
  inputs["add_generation_prompt"] = generation_prompt;
  if (record_.add_bos) inputs["bos_token"] = record_.bos_token;
  if (!record_.eos_token.empty()) inputs["eos_token"] = record_.eos_token;
  return used->render(inputs, clock_);
}

// What every answer's render begins with: the prompt's own render as a rule, less where the generation prompt has
// more than an answer gets (an opened thinking block). It does not depend on the answer at hand.
std::string Encoder::answer_header(const OrderedJson& messages, const Rendered& prompt,
                                   const EncodeContext& context) const {
  size_t size = prompt.text.size();
  for (const char* text : {"a", "Z"}) {
    OrderedJson with = messages;
    with.push_back({{"role", "assistant"}, {"content", text}});
    size = std::min(size, common_prefix(prompt.text, render(with, false, context).text));
  }
  while (size > 0 && size < prompt.text.size() && (static_cast<unsigned char>(prompt.text[size]) & 0xC0) == 0x80)
    --size;
  return prompt.text.substr(0, size);
}

void Encoder::add_answer(Turn& turn, const OrderedJson& messages, const OrderedJson& answer,
                         const EncodeContext& context) const {
  turn.all_assistant = std::all_of(answer.begin(), answer.end(), is_assistant) && answer.size() == 1;
  if (const std::string* text = continues_thinking(answer, turn.prompt)) {
    turn.answer = plain_text(*text);
    return;
  }
  const size_t header = answer_header(messages, turn.prompt, context).size();
  OrderedJson all = messages;
  for (const OrderedJson& message : answer) all.push_back(message);
  const Rendered whole = render(all, false, context);
  const bool continues = whole.text.compare(0, header, turn.prompt.text, 0, header) == 0 && whole.text.size() >= header;
  if (!continues || overlaps_any(turn.prompt.content, {header, turn.prompt.text.size()})) {
    const size_t at = common_prefix(whole.text, turn.prompt.text);
    fail(ErrorKind::kUnsupported,
         "the chat template renders the prompt differently once an answer follows (byte {}: {} against {}); give the "
         "answer as plain text",
         at, quote(std::string_view(turn.prompt.text).substr(at), 30),
         quote(std::string_view(whole.text).substr(at), 30));
  }
  turn.prompt = part(whole, 0, header);
  turn.answer = part(whole, header, whole.text.size());
  if (turn.answer.content.empty()) fail(ErrorKind::kData, "the completion is empty");
}

Encoder::Turn Encoder::make_turn(const Content& prompt, const Content* completion, const EncodeContext& context) const {
  Turn turn;
  if (completion != nullptr && is_empty(*completion)) fail(ErrorKind::kData, "the completion is empty");
  const bool wrap = template_ && record_.raw_prompt == "wrap";
  if (is_empty(prompt)) {
    if (completion == nullptr) fail(ErrorKind::kData, "the prompt is empty");
    if (const OrderedJson* messages = std::get_if<OrderedJson>(completion)) {
      turn.answer = render(*messages, false, context);
      turn.all_assistant = false;
      if (turn.answer.content.empty()) fail(ErrorKind::kData, "the completion is empty");
    } else {
      turn.answer = plain_text(std::get<std::string>(*completion));
    }
    return turn;
  }
  const std::string* raw = std::get_if<std::string>(&prompt);
  if (raw != nullptr && !wrap) {
    turn.prompt = plain_text(*raw);
    turn.prompt.assistant.clear();
    if (completion == nullptr) return turn;
    if (!std::holds_alternative<std::string>(*completion)) {
      fail(ErrorKind::kUnsupported, "a completion of messages behind a raw text prompt; give the prompt as messages");
    }
    turn.answer = plain_text(std::get<std::string>(*completion));
    return turn;
  }
  const OrderedJson messages =
      raw != nullptr ? OrderedJson::array({{{"role", "user"}, {"content", *raw}}}) : std::get<OrderedJson>(prompt);
  const OrderedJson* answer = completion != nullptr ? std::get_if<OrderedJson>(completion) : nullptr;
  if (answer == nullptr && is_assistant(messages.back())) {
    fail(ErrorKind::kUnsupported, "the prompt ends with an assistant message; move it to the completion");
  }
  turn.prompt = render(messages, true, context);
  if (answer != nullptr) {
    add_answer(turn, messages, *answer, context);
  } else if (completion != nullptr) {
    turn.answer = plain_text(std::get<std::string>(*completion));
  }
  return turn;
}

Encoder::Piece Encoder::tokenize(const Rendered& text, bool at_start) const {
  EncodeOptions options;
  options.add_special_tokens = false;
  const auto run = [&](const std::string& bytes, const std::vector<ByteRange>& plain) {
    if (record_.safe_content) options.plain = plain;
    Tokenized out = tokenizer_.encode_with_offsets(bytes, options);
    std::vector<bool> mask(out.ids.size(), false);
    return Piece{std::move(out.ids), std::move(out.ranges), std::move(mask)};
  };
  if (at_start || seam_.empty() || text.text.empty()) return run(text.text, text.content);
  // Behind a line break, so that no space is set before a text that does not begin one; the break goes again.
  Piece piece = run("\n" + text.text, shifted(text.content, 0, text.text.size(), 1));
  if (piece.ids.size() < seam_.size() || !std::equal(seam_.begin(), seam_.end(), piece.ids.begin())) {
    return run(text.text, text.content);
  }
  piece.erase_front(seam_.size());
  for (ByteRange& range : piece.ranges) range = {range.begin - std::min<size_t>(range.begin, 1), range.end - 1};
  return piece;
}

std::vector<bool> Encoder::assistant_mask(const Rendered& text, const Piece& piece,
                                          const EncodeContext& context) const {
  const ChatTemplate* const used = template_for(context);
  const bool marked = used != nullptr && used->has_generation();
  const std::vector<ByteRange>& ranges = marked ? text.generation : text.assistant;
  std::vector<ByteRange> others;  // content of anyone else
  for (const ByteRange& c : text.content) {
    size_t at = c.begin;
    for (const ByteRange& a : text.assistant) {
      if (a.end <= at || a.begin >= c.end) continue;
      if (a.begin > at) others.push_back({at, a.begin});
      at = a.end;
    }
    if (at < c.end) others.push_back({at, c.end});
  }
  const size_t n = piece.ids.size();
  std::vector<bool> mask(n, false);
  for (size_t i = 0; i < n; ++i)
    mask[i] = overlaps_any(ranges, piece.ranges[i]) && !overlaps_any(others, piece.ranges[i]);
  if (marked) return mask;
  // Scaffolding between two strings of one message (the tags of a thinking block, the names of a call) is the
  // assistant's too, and so is the token that ends its turn.
  std::optional<size_t> last;
  for (size_t i = 0; i < n; ++i) {
    if (mask[i]) {
      if (last)
        std::fill(mask.begin() + static_cast<std::ptrdiff_t>(*last), mask.begin() + static_cast<std::ptrdiff_t>(i),
                  true);
      last = i;
    } else if (last && end_ && piece.ids[i] == *end_) {
      std::fill(mask.begin() + static_cast<std::ptrdiff_t>(*last), mask.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                true);
      last.reset();
    } else if (overlaps_any(others, piece.ranges[i])) {
      last.reset();
    }
  }
  return mask;
}

// Makes the completion end as the record says; true if it ends with the end-of-turn token.
bool Encoder::close(Piece& completion, const Rendered& text) const {
  bool found = false;
  for (size_t i = completion.ids.size(); end_ && i > 0 && !found; --i) {
    const bool content = overlaps_any(text.content, completion.ranges[i - 1]);
    if (completion.ids[i - 1] == *end_ && !(content && record_.safe_content)) {
      completion.erase_from(i);
      found = true;
    } else if (content) {
      break;
    }
  }
  if (found && !record_.append_end) {
    completion.erase_from(completion.ids.size() - 1);
    return false;
  }
  if (!found && record_.append_end) {
    completion.ids.push_back(*end_);
    completion.ranges.push_back({text.text.size(), text.text.size()});
    completion.mask.push_back(true);
  }
  return record_.append_end;
}

// BOS once at the front. Where there is no prompt it becomes one.
void Encoder::set_bos(std::vector<TokenId>& prompt, Piece& completion) const {
  if (!bos_) return;
  const auto is_bos = [&](TokenId id) { return id == *bos_; };
  if (prompt.empty()) {
    const auto first = std::find_if_not(completion.ids.begin(), completion.ids.end(), is_bos);
    completion.erase_front(static_cast<size_t>(first - completion.ids.begin()));
  }
  prompt.erase(prompt.begin(), std::find_if_not(prompt.begin(), prompt.end(), is_bos));
  prompt.insert(prompt.begin(), *bos_);
}

Encoded Encoder::fit(std::vector<TokenId> prompt, Piece completion, bool closed, const EncodeContext& context) const {
  const int64_t max = limit(context);
  int64_t p = static_cast<int64_t>(prompt.size());
  int64_t c = static_cast<int64_t>(completion.ids.size());
  Encoded out;
  if (max > 0 && p + c > max) {
    out.truncated = true;
    const int64_t wanted = c;
    if (record_.truncation_side == TruncationSide::kLeft) {
      // The completion first, but half the room is the prompt's if it needs it.
      const int64_t keep = std::max(std::min(p, max - c), std::min(p, max / 2));
      const size_t fixed = bos_ && keep > 0 && !prompt.empty() ? 1 : 0;  // BOS stays
      prompt.erase(prompt.begin() + static_cast<std::ptrdiff_t>(fixed),
                   prompt.begin() + static_cast<std::ptrdiff_t>(fixed) + (p - keep));
    }
    c = std::min(c, max - static_cast<int64_t>(prompt.size()));
    if (c < 1) {
      fail(ErrorKind::kLimit,
           "a prompt of {} tokens and a completion of {} do not fit max_length {}: no room for the "
           "completion; raise max_length or truncate on the left",
           p, wanted, max);
    }
    if (c < wanted) {
      completion.erase_from(static_cast<size_t>(c));
      closed = false;
    }
  }
  out.ids = std::move(prompt);
  out.boundary = static_cast<int>(out.ids.size());
  out.mask.assign(out.ids.size(), false);
  out.ids.insert(out.ids.end(), completion.ids.begin(), completion.ids.end());
  out.mask.insert(out.mask.end(), completion.mask.begin(), completion.mask.end());
  out.closed = closed;
  return out;
}

Result<Encoded> Encoder::encode(const Content& prompt, const Content& completion, const EncodeContext& context) const {
  return as_result([&]() -> Encoded {
    const Turn turn = make_turn(prompt, &completion, context);
    Piece head = tokenize(turn.prompt, true);
    Piece tail;
    Rendered text = turn.answer;  // what the tail's ranges are bytes of
    if (record_.boundary == Boundary::kSplit || head.ids.empty()) {
      tail = tokenize(turn.answer, turn.prompt.text.empty());
    } else {
      text = joined(turn.prompt, turn.answer);
      tail = tokenize(text, true);
      size_t same = 0;
      while (same < head.ids.size() && same + 1 < tail.ids.size() && head.ids[same] == tail.ids[same]) ++same;
      head.erase_from(same);
      tail.erase_front(same);
    }
    tail.mask = turn.all_assistant ? std::vector<bool>(tail.ids.size(), true) : assistant_mask(text, tail, context);
    const bool closed = close(tail, text);
    if (tail.ids.size() <= (closed ? 1u : 0u)) fail(ErrorKind::kData, "the completion is empty");
    set_bos(head.ids, tail);
    return fit(std::move(head.ids), std::move(tail), closed, context);
  });
}

Result<Encoded> Encoder::encode_prompt(const Content& prompt, const EncodeContext& context) const {
  return as_result([&]() -> Encoded {
    const Turn turn = make_turn(prompt, nullptr, context);
    Piece head = tokenize(turn.prompt, true);
    Piece none;
    set_bos(head.ids, none);
    const int64_t max = limit(context);
    const int64_t p = static_cast<int64_t>(head.ids.size());
    Encoded out;
    if (max > 0 && p >= max) {
      if (record_.truncation_side == TruncationSide::kRight || max < 2) {
        fail(ErrorKind::kLimit, "a prompt of {} tokens leaves no room for a completion in max_length {}", p, max);
      }
      const std::ptrdiff_t fixed = bos_ ? 1 : 0;
      head.ids.erase(head.ids.begin() + fixed, head.ids.begin() + fixed + (p - max + 1));
      out.truncated = true;
    }
    out.ids = std::move(head.ids);
    out.boundary = static_cast<int>(out.ids.size());
    out.mask.assign(out.ids.size(), false);
    return out;
  });
}

Result<Encoded> Encoder::encode_conversation(const OrderedJson& messages, const EncodeContext& context) const {
  return as_result([&]() -> Encoded {
    const Rendered text = render(messages, false, context);
    Piece piece = tokenize(text, true);
    piece.mask = assistant_mask(text, piece, context);
    const auto first = std::find(piece.mask.begin(), piece.mask.end(), true);
    if (first == piece.mask.end()) fail(ErrorKind::kData, "the conversation has no assistant text to learn from");
    const size_t boundary = static_cast<size_t>(first - piece.mask.begin());
    std::vector<TokenId> head(piece.ids.begin(), piece.ids.begin() + static_cast<std::ptrdiff_t>(boundary));
    piece.erase_front(boundary);
    const bool closed = is_assistant(messages.back()) && close(piece, text);
    set_bos(head, piece);
    return fit(std::move(head), std::move(piece), closed, context);
  });
}

Result<Encoded> Encoder::append(const Encoded& prompt, const std::vector<TokenId>& completion, bool finished) const {
  return as_result([&]() -> Encoded {
    const auto is_end = [&](TokenId id) { return end_ && id == *end_; };
    if (completion.empty() || (completion.size() == 1 && is_end(completion[0]))) {
      fail(ErrorKind::kData, "the completion is empty");
    }
    Encoded out = prompt;
    out.boundary = static_cast<int>(prompt.ids.size());
    out.ids.insert(out.ids.end(), completion.begin(), completion.end());
    if (finished && record_.append_end && !is_end(out.ids.back())) out.ids.push_back(*end_);
    out.closed = is_end(out.ids.back());
    out.mask.resize(out.ids.size(), true);
    return out;
  });
}

}  // namespace merit::text
