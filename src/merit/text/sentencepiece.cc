#include "merit/text/sentencepiece.h"

#include <cmath>
#include <cstring>

#include "merit/core/error.h"
#include "merit/text/tokenizer_model.h"
#include "merit/text/unicode.h"

namespace merit::text {
namespace {

// The wire format of protocol buffers: a field number and a type, then a varint, 4 or 8 bytes, or a length and bytes.
class Message {
 public:
  Message(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  // The next field, or false at the end.
  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t tag = varint();
    field_ = tag >> 3;
    wire_ = static_cast<int>(tag & 7);
    if (wire_ == 0) {
      number_ = varint();
    } else if (wire_ == 1) {
      value_ = take(8);
    } else if (wire_ == 2) {
      value_ = take(varint());
    } else if (wire_ == 5) {
      value_ = take(4);
    } else {
      fail(ErrorKind::kData, "{}: field {} at byte {} has wire type {}; this is no SentencePiece model", where_, field_,
           at_, wire_);
    }
    return true;
  }
  uint64_t field() const { return field_; }
  std::string_view bytes() const { return need(2), value_; }
  int64_t integer() const { return need(0), static_cast<int64_t>(static_cast<int32_t>(number_)); }
  bool flag() const { return need(0), number_ != 0; }
  float real() const {
    need(5);
    float value = 0;
    std::memcpy(&value, value_.data(), 4);
    return value;
  }

 private:
  void need(int wire) const {
    if (wire_ == wire) return;
    fail(ErrorKind::kData, "{}: field {} before byte {} has wire type {}, expected {}", where_, field_, at_, wire_,
         wire);
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    fail(ErrorKind::kData, "{}: a number that does not end at byte {}; this is no SentencePiece model", where_, at_);
  }
  std::string_view take(uint64_t size) {
    if (size > bytes_.size() - at_) {
      fail(ErrorKind::kData, "{}: {} bytes at byte {}, but {} are left; the file is cut or no SentencePiece model",
           where_, size, at_, bytes_.size() - at_);
    }
    const std::string_view part = bytes_.substr(at_, size);
    at_ += size;
    return part;
  }

  std::string_view bytes_;
  const std::string& where_;
  size_t at_ = 0;
  uint64_t field_ = 0, number_ = 0;
  int wire_ = 0;
  std::string_view value_;
};

void read_piece(std::string_view bytes, SentencePieces& out, const std::string& where) {
  constexpr size_t kLongest = 1024;
  std::string token;
  float score = 0;
  int64_t type = SentencePieces::kNormal;
  for (Message m(bytes, where); m.next();) {
    if (m.field() == 1) token = m.bytes();
    if (m.field() == 2) score = m.real();
    if (m.field() == 3) type = m.integer();
  }
  const size_t id = out.tokens.size();
  if (token.empty() || !is_valid_utf8(token)) {
    fail(ErrorKind::kData, "{}: piece {} is {}", where, id, token.empty() ? "empty" : "not UTF-8");
  }
  if (token.size() > kLongest) {
    fail(ErrorKind::kLimit, "{}: piece {} has {} bytes; the limit is {}", where, id, token.size(), kLongest);
  }
  if (id > static_cast<size_t>(Vocabulary::kMaxId)) fail(ErrorKind::kLimit, "{}: more than {} pieces", where, id);
  if (!std::isfinite(score)) fail(ErrorKind::kData, "{}: the score of piece {} is not finite", where, id);
  if (type < SentencePieces::kNormal || type > SentencePieces::kByte) {
    fail(ErrorKind::kUnsupported, "{}: piece {} is of the unknown type {}", where, id, type);
  }
  out.tokens.push_back(std::move(token));
  out.scores.push_back(score);
  out.types.push_back(static_cast<int>(type));
}

void read_trainer(std::string_view bytes, SentencePieces& out, const std::string& where) {
  int64_t model = 1;
  for (Message m(bytes, where); m.next();) {
    if (m.field() == 3) model = m.integer();
    if (m.field() == 24 && m.flag()) fail(ErrorKind::kUnsupported, "{}: treat_whitespace_as_suffix", where);
    if (m.field() == 35) out.byte_fallback = m.flag();
    if (m.field() == 40) out.unk_id = m.integer();
    if (m.field() == 41) out.bos_id = m.integer();
    if (m.field() == 42) out.eos_id = m.integer();
    if (m.field() == 45) out.unk_piece = m.bytes();
    if (m.field() == 46) out.bos_piece = m.bytes();
    if (m.field() == 47) out.eos_piece = m.bytes();
  }
  if (model != 1 && model != 2) {
    fail(ErrorKind::kUnsupported, "{}: model type {} (unigram, 1, and BPE, 2, are supported)", where, model);
  }
  out.unigram = model == 1;
}

void read_normalizer(std::string_view bytes, SentencePieces& out, const std::string& where) {
  for (Message m(bytes, where); m.next();) {
    if (m.field() == 2) out.charsmap = m.bytes();
    if (m.field() == 3) out.add_dummy_prefix = m.flag();
    if (m.field() == 4) out.remove_extra_whitespaces = m.flag();
    if (m.field() == 5 && !m.flag()) fail(ErrorKind::kUnsupported, "{}: escape_whitespaces is off", where);
  }
}

}  // namespace

SentencePieces parse_sentencepiece(std::string_view bytes, const std::string& where) {
  SentencePieces out;
  bool trained = false;
  for (Message m(bytes, where); m.next();) {
    if (m.field() == 1) read_piece(m.bytes(), out, where);
    if (m.field() == 2) {
      read_trainer(m.bytes(), out, where + ": trainer_spec");
      trained = true;
    }
    if (m.field() == 3) read_normalizer(m.bytes(), out, where + ": normalizer_spec");
    if (m.field() == 5) {
      for (Message inner(m.bytes(), where); inner.next();) {
        if (inner.field() == 2 && !inner.bytes().empty()) {
          fail(ErrorKind::kUnsupported, "{}: a denormalizer, which changes decoded text", where);
        }
      }
    }
  }
  if (out.tokens.empty() || !trained) {
    fail(ErrorKind::kData, "{}: {}; this is no SentencePiece model", where,
         out.tokens.empty() ? "no pieces" : "no trainer_spec");
  }
  if (out.unk_id < 0 || out.unk_id >= static_cast<int64_t>(out.tokens.size())) {
    fail(ErrorKind::kData, "{}: unk_id is {}, but there are {} pieces", where, out.unk_id, out.tokens.size());
  }
  for (const std::string* piece : {&out.unk_piece, &out.bos_piece, &out.eos_piece}) {
    if (!is_valid_utf8(*piece)) fail(ErrorKind::kData, "{}: a special piece is not UTF-8", where);
  }
  return out;
}

}  // namespace merit::text
