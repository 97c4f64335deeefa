#include "merit/formats/pickle.h"

#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "merit/core/error.h"
#include "merit/core/strings.h"

namespace merit::formats {
namespace {

constexpr size_t kMaxPickleBytes = size_t{64} << 20;
constexpr size_t kMaxValues = 2'000'000;
constexpr int kMaxVisits = 1'000'000;
constexpr int kMaxDepth = 16;
constexpr size_t kMaxName = 1024;
constexpr size_t kMaxTensors = 200'000;
constexpr size_t kMaxDimensions = 64;

enum class Kind : uint8_t { kNone, kNumber, kInteger, kText, kTuple, kList, kDict, kGlobal, kStorage, kTensor };

enum class Global : uint8_t { kOrderedDict, kRebuildTensor, kRebuildParameter, kStorageType };

struct GlobalName {
  std::string_view name;
  Global global;
  DType dtype = DType::kF32;  // of a storage type
};

constexpr std::array kGlobals = {
    GlobalName{"collections.OrderedDict", Global::kOrderedDict},
    GlobalName{"torch._utils._rebuild_tensor_v2", Global::kRebuildTensor},
    GlobalName{"torch._utils._rebuild_parameter", Global::kRebuildParameter},
    GlobalName{"torch.DoubleStorage", Global::kStorageType, DType::kF64},
    GlobalName{"torch.FloatStorage", Global::kStorageType, DType::kF32},
    GlobalName{"torch.HalfStorage", Global::kStorageType, DType::kF16},
    GlobalName{"torch.BFloat16Storage", Global::kStorageType, DType::kBF16},
    GlobalName{"torch.LongStorage", Global::kStorageType, DType::kI64},
    GlobalName{"torch.IntStorage", Global::kStorageType, DType::kI32},
    GlobalName{"torch.ShortStorage", Global::kStorageType, DType::kI16},
    GlobalName{"torch.CharStorage", Global::kStorageType, DType::kI8},
    GlobalName{"torch.ByteStorage", Global::kStorageType, DType::kU8},
    GlobalName{"torch.BoolStorage", Global::kStorageType, DType::kBool},
};

// Values lie in one array and name each other by index: a pickle may share them, and may even build a cycle.
using Index = int32_t;

struct Value {
  Kind kind = Kind::kNone;
  int64_t number = 0;        // an integer; or the index in kGlobals, or of a storage or a tensor
  std::string_view text;     // in the pickle's bytes
  std::vector<Index> items;  // of a tuple or a list; of a dictionary keys and values in turn
};

struct Storage {
  std::string_view key;
  DType dtype = DType::kF32;
  int64_t elements = 0;
};

class PickleReader {
 public:
  PickleReader(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {
    if (bytes.size() > kMaxPickleBytes) limit("it has {} bytes, at most {} are read", bytes.size(), kMaxPickleBytes);
  }

  std::vector<PickledTensor> tensors() {
    const Index root = run();
    if (values_[root].kind != Kind::kDict) {
      fail(ErrorKind::kUnsupported, "{}: expected a dictionary of tensors, got another object; save a state_dict",
           where_);
    }
    flatten(root, "", 0);
    return std::move(found_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void complain(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::kData, "{}: byte {}: {}", where_, opcode_at_, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  [[noreturn]] void limit(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::kLimit, "{}: {}", where_, fmt::format(format, std::forward<Args>(args)...));
  }

  // ---- bytes

  std::string_view take(size_t count) {
    if (count > bytes_.size() - position_) complain("{} bytes expected, {} are left", count, bytes_.size() - position_);
    const std::string_view out(reinterpret_cast<const char*>(bytes_.data()) + position_, count);
    position_ += count;
    return out;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position_, bytes_.size() - position_);
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) complain("a line without an end");
    position_ += end + 1;
    return rest.substr(0, end);
  }
  int64_t long_integer() {
    const std::string_view bytes = take(number<uint8_t>());
    if (bytes.size() > sizeof(int64_t)) complain("an integer of {} bytes, at most 8 are read", bytes.size());
    uint64_t value = !bytes.empty() && static_cast<int8_t>(bytes.back()) < 0 ? ~uint64_t{0} : 0;
    for (size_t i = bytes.size(); i > 0; --i) value = value << 8 | static_cast<uint8_t>(bytes[i - 1]);
    return static_cast<int64_t>(value);
  }

  // ---- the stack

  void push(Value value) {
    if (values_.size() >= kMaxValues) limit("it has over {} values", kMaxValues);
    values_.push_back(std::move(value));
    stack_.push_back(static_cast<Index>(values_.size()) - 1);
  }
  void push_integer(int64_t value) { push({Kind::kInteger, value, {}, {}}); }

  // The stack of the values since the last mark, or of all.
  size_t bottom() const { return marks_.empty() ? 0 : marks_.back(); }
  Index top() const {
    if (stack_.size() <= bottom()) complain("nothing is on the stack");
    return stack_.back();
  }
  Index pop() {
    const Index out = top();
    stack_.pop_back();
    return out;
  }
  std::vector<Index> pop_to_mark() {
    if (marks_.empty()) complain("no mark is on the stack");
    std::vector<Index> out(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return out;
  }
  std::vector<Index> pop_some(size_t count) {
    if (stack_.size() - bottom() < count) complain("{} values expected on the stack", count);
    std::vector<Index> out(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return out;
  }
  void push_items(Kind kind, std::vector<Index> items) { push({kind, 0, {}, std::move(items)}); }

  void extend(Kind kind, const std::vector<Index>& items) {
    Value& to = values_[top()];
    if (to.kind != kind || (kind == Kind::kDict && items.size() % 2 != 0)) complain("members for what has none");
    to.items.insert(to.items.end(), items.begin(), items.end());
  }

  void remember(size_t place) {
    // Places are given out in order, so one far outside is malformed and must not become memory.
    if (place > values_.size()) complain("a memo place of {}", place);
    if (place >= memo_.size()) memo_.resize(place + 1, -1);
    memo_[place] = top();
  }
  void recall(size_t place) {
    if (place >= memo_.size() || memo_[place] < 0) complain("memo place {} is empty", place);
    stack_.push_back(memo_[place]);
    if (stack_.size() > kMaxValues) limit("its stack has over {} values", kMaxValues);
  }

  // ---- what torch.save writes

  void push_global() {
    const std::string_view module = line();
    const std::string name = std::string(module) + "." + std::string(line());
    for (size_t i = 0; i < kGlobals.size(); ++i) {
      if (kGlobals[i].name == name) return push({Kind::kGlobal, static_cast<int64_t>(i), {}, {}});
    }
    fail(ErrorKind::kUnsupported,
         "{}: byte {}: the pickle asks for {}; merit runs no pickles and reads plain tensors alone: save the model as "
         "safetensors",
         where_, opcode_at_, quote(name));
  }

  const Value& member(const Value& tuple, size_t index, Kind kind, const char* what) const {
    if (tuple.kind != Kind::kTuple || index >= tuple.items.size() || values_[tuple.items[index]].kind != kind) {
      complain("expected {}", what);
    }
    return values_[tuple.items[index]];
  }
  std::vector<int64_t> integers(const Value& tuple) const {
    std::vector<int64_t> out;
    if (tuple.items.size() > kMaxDimensions) complain("a tensor of {} dimensions", tuple.items.size());
    for (const Index item : tuple.items) {
      if (values_[item].kind != Kind::kInteger || values_[item].number < 0) complain("expected sizes from 0");
      out.push_back(values_[item].number);
    }
    return out;
  }

  // ("storage", type, key, device, elements)
  void push_storage() {
    const Value& id = values_[pop()];
    if (member(id, 0, Kind::kText, "a storage").text != "storage") complain("expected a storage");
    const GlobalName& type = kGlobals[member(id, 1, Kind::kGlobal, "a storage type").number];
    if (type.global != Global::kStorageType) complain("expected a storage type, got {}", type.name);
    const int64_t elements = member(id, 4, Kind::kInteger, "a storage's size").number;
    if (elements < 0) complain("a storage of {} elements", elements);
    storages_.push_back({member(id, 2, Kind::kText, "a storage's key").text, type.dtype, elements});
    push({Kind::kStorage, static_cast<int64_t>(storages_.size()) - 1, {}, {}});
  }

  // (storage, offset, shape, strides, requires_grad, hooks)
  void push_tensor(const Value& arguments) {
    const Storage& storage = storages_[member(arguments, 0, Kind::kStorage, "a tensor's storage").number];
    PickledTensor tensor;
    tensor.storage = storage.key;
    tensor.storage_elements = storage.elements;
    tensor.dtype = storage.dtype;
    tensor.offset = member(arguments, 1, Kind::kInteger, "a tensor's offset").number;
    tensor.shape = integers(member(arguments, 2, Kind::kTuple, "a tensor's shape"));
    tensor.strides = integers(member(arguments, 3, Kind::kTuple, "a tensor's strides"));
    if (tensor.offset < 0 || tensor.shape.size() != tensor.strides.size()) complain("expected a strided tensor");
    tensors_.push_back(std::move(tensor));
    push({Kind::kTensor, static_cast<int64_t>(tensors_.size()) - 1, {}, {}});
  }

  void call() {
    const Value& arguments = values_[pop()];
    const Value& function = values_[pop()];
    if (function.kind != Kind::kGlobal || arguments.kind != Kind::kTuple) complain("a call of what is no function");
    const GlobalName& callee = kGlobals[function.number];
    switch (callee.global) {
      case Global::kOrderedDict:
        if (!arguments.items.empty()) complain("expected an empty OrderedDict");
        return push_items(Kind::kDict, {});
      case Global::kRebuildTensor:
        return push_tensor(arguments);
      case Global::kRebuildParameter:
        member(arguments, 0, Kind::kTensor, "a parameter's tensor");
        return stack_.push_back(arguments.items[0]);
      case Global::kStorageType:
        break;
    }
    complain("a call of {}", callee.name);
  }

  // Attributes are set on state dictionaries only, and change no tensor.
  void build() {
    pop();
    if (values_[top()].kind != Kind::kDict) complain("a state for what is no dictionary");
  }

  Index run() {
    if (bytes_.size() < 2 || bytes_[0] != std::byte{0x80} || bytes_[1] != std::byte{2}) {
      fail(ErrorKind::kUnsupported, "{}: expected a pickle of protocol 2, as torch.save writes by itself", where_);
    }
    position_ = 2;
    for (;;) {
      opcode_at_ = position_;
      const auto opcode = number<uint8_t>();
      if (opcode == '.') return pop();
      if (!run_constant(opcode) && !run_structure(opcode)) {
        fail(ErrorKind::kUnsupported, "{}: byte {}: opcode 0x{:02x} is not read; expected what torch.save writes",
             where_, opcode_at_, opcode);
      }
    }
  }

  bool run_constant(uint8_t opcode) {
    switch (opcode) {
      case 'N':  // NONE
        push({});
        return true;
      case 0x88:  // NEWTRUE
      case 0x89:  // NEWFALSE
        push({Kind::kNumber, 0, {}, {}});
        return true;
      case 'G':  // BINFLOAT
        take(8);
        push({Kind::kNumber, 0, {}, {}});
        return true;
      case 'J':  // BININT
        push_integer(number<int32_t>());
        return true;
      case 'K':  // BININT1
        push_integer(number<uint8_t>());
        return true;
      case 'M':  // BININT2
        push_integer(number<uint16_t>());
        return true;
      case 0x8a:  // LONG1
        push_integer(long_integer());
        return true;
      case 'X':  // BINUNICODE
        push({Kind::kText, 0, take(number<uint32_t>()), {}});
        return true;
      default:
        return false;
    }
  }

  bool run_structure(uint8_t opcode) {
    switch (opcode) {
      case '(':  // MARK
        if (marks_.size() >= kMaxValues) limit("it has over {} marks", kMaxValues);
        marks_.push_back(stack_.size());
        return true;
      case '0':  // POP
        pop();
        return true;
      case ')':  // EMPTY_TUPLE
        push_items(Kind::kTuple, {});
        return true;
      case ']':  // EMPTY_LIST
        push_items(Kind::kList, {});
        return true;
      case '}':  // EMPTY_DICT
        push_items(Kind::kDict, {});
        return true;
      case 't':  // TUPLE
        push_items(Kind::kTuple, pop_to_mark());
        return true;
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        push_items(Kind::kTuple, pop_some(opcode - 0x84));
        return true;
      case 'a':  // APPEND
        extend(Kind::kList, pop_some(1));
        return true;
      case 'e':  // APPENDS
        extend(Kind::kList, pop_to_mark());
        return true;
      case 's':  // SETITEM
        extend(Kind::kDict, pop_some(2));
        return true;
      case 'u':  // SETITEMS
        extend(Kind::kDict, pop_to_mark());
        return true;
      case 'q':  // BINPUT
        remember(number<uint8_t>());
        return true;
      case 'r':  // LONG_BINPUT
        remember(number<uint32_t>());
        return true;
      case 'h':  // BINGET
        recall(number<uint8_t>());
        return true;
      case 'j':  // LONG_BINGET
        recall(number<uint32_t>());
        return true;
      case 'c':  // GLOBAL
        push_global();
        return true;
      case 'R':  // REDUCE
        call();
        return true;
      case 'b':  // BUILD
        build();
        return true;
      case 'Q':  // BINPERSID
        push_storage();
        return true;
      default:
        return false;
    }
  }

  // ---- the result

  std::string key_text(const Value& key) const {
    if (key.kind == Kind::kText && is_utf8(key.text)) return std::string(key.text);
    if (key.kind == Kind::kInteger) return std::to_string(key.number);
    fail(ErrorKind::kData, "{}: a key of a dictionary is neither text nor an integer", where_);
  }

  void flatten(Index index, const std::string& name, int depth) {
    if (depth > kMaxDepth) limit("its dictionaries are nested deeper than {}", kMaxDepth);
    if (++visits_ > kMaxVisits) limit("it has over {} members", kMaxVisits);
    if (name.size() > kMaxName) limit("a name of over {} bytes", kMaxName);
    const Value& value = values_[index];
    const auto inside = [&](const std::string& key) { return name.empty() ? key : name + "." + key; };
    if (value.kind == Kind::kTensor) {
      if (found_.size() == kMaxTensors) limit("it has over {} tensors", kMaxTensors);
      found_.push_back(tensors_[value.number]);
      found_.back().name = name;
    } else if (value.kind == Kind::kDict) {
      for (size_t i = 0; i < value.items.size(); i += 2) {
        flatten(value.items[i + 1], inside(key_text(values_[value.items[i]])), depth + 1);
      }
    } else if (value.kind == Kind::kList || value.kind == Kind::kTuple) {
      for (size_t i = 0; i < value.items.size(); ++i) flatten(value.items[i], inside(std::to_string(i)), depth + 1);
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  size_t position_ = 0;
  size_t opcode_at_ = 0;

  std::vector<Value> values_;
  std::vector<Storage> storages_;
  std::vector<PickledTensor> tensors_;
  std::vector<Index> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::vector<Index> memo_;

  int visits_ = 0;
  std::vector<PickledTensor> found_;
};

}  // namespace

std::vector<PickledTensor> read_pickled_tensors(std::span<const std::byte> bytes, const std::string& where) {
  return PickleReader(bytes, where).tensors();
}

}  // namespace merit::formats
