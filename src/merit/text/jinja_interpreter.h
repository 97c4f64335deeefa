// Runs a parsed template once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "merit/text/jinja_ast.h"
#include "merit/text/template.h"

namespace merit::text::jinja {

// The names of one scope. A loop's pass, a macro call, a captured body and a `with` have one each; `if` has none.
struct Frame {
  explicit Frame(std::shared_ptr<Frame> outer) : parent(std::move(outer)) {}
  std::shared_ptr<Frame> parent;
  std::vector<std::pair<std::string, Value>> names;
  bool kept = false;  // a macro remembers it

  void set(const std::string& name, Value value);
  const Value* find(const std::string& name) const;  // here or further out; null if nowhere
};
using FramePtr = std::shared_ptr<Frame>;

class Interpreter final : public Engine {
 public:
  Interpreter(const Program& program, std::vector<std::pair<std::string, Value>> inputs, const Clock& clock);
  ~Interpreter() override;
  Text run();  // adds line and column to errors

  Value call(const Value& callee, Arguments& arguments) override;
  void keep(std::shared_ptr<Object> object) override;
  std::string strftime_now(const std::string& format) override;

 private:
  friend struct MacroObject;
  // Statements, expressions and macros inside one another; each costs a step.
  struct Nest {
    explicit Nest(Interpreter& i) : interpreter(i) {
      if (interpreter.nesting_ >= kMaxNesting) fail(ErrorKind::kLimit, "the template calls itself too deeply");
      ++interpreter.nesting_;
      interpreter.charge(1);
    }
    ~Nest() { --interpreter.nesting_; }
    static constexpr int kMaxNesting = 1500;
    Interpreter& interpreter;
  };
  enum class Flow { kNext, kBreak, kContinue };

  // Statements.
  Flow exec(const Body& body, const FramePtr& frame);
  Flow exec(const Stmt& stmt, const FramePtr& frame);
  Flow exec_if(const Stmt& stmt, const FramePtr& frame);
  Flow exec_for(const Stmt& stmt, const FramePtr& frame);
  void print(const Text& text, uint8_t marks = 0);
  void assign(const Expr& target, const Value& value, Frame& frame);
  // The text that a body writes, up to where it leaves a loop around it.
  Flow capture(const Body& body, const FramePtr& frame, Text& text);
  Value make_macro(const MacroDef& macro, const FramePtr& frame);
  Text call_macro(const MacroDef& macro, const FramePtr& scope, Arguments& arguments);
  void bind(const MacroDef& macro, Arguments& arguments, const FramePtr& frame);

  // Expressions.
  Value eval(const Expr& expr, const FramePtr& frame);
  Value eval_call(const Expr& expr, const FramePtr& frame);
  Value eval_compare(const Expr& expr, const FramePtr& frame);
  Value eval_concat(const Expr& expr, const FramePtr& frame);
  Value eval_name(const Expr& expr, const FramePtr& frame);
  Value eval_condition(const Expr& expr, const FramePtr& frame);
  std::vector<Value> eval_all(const std::vector<ExprPtr>& list, const FramePtr& frame);
  Value eval_dict(const Expr& expr, const FramePtr& frame);
  Arguments eval_arguments(const Expr& expr, const FramePtr& frame);
  Value eval_filtered(const Expr* filter, Text text, const FramePtr& frame);

  const Program& program_;
  std::vector<std::pair<std::string, Value>> inputs_;
  const Clock& clock_;
  FramePtr root_;
  TextBuilder* out_ = nullptr;
  const Value* block_subject_ = nullptr;  // what a filter block filters
  size_t offset_ = 0;                     // where the running operation stands in the source
  int nesting_ = 0;
  std::vector<std::shared_ptr<Object>> kept_;
  std::vector<FramePtr> kept_frames_;
};

}  // namespace merit::text::jinja
