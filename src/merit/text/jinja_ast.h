// A parsed template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "merit/text/jinja_functions.h"
#include "merit/text/jinja_lexer.h"

namespace merit::text::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallArgument {
  enum Kind { kPlain, kNamed, kSplat, kSplatNamed };
  Kind kind;
  std::string name;
  ExprPtr value;
};

struct Expr {
  enum Kind {
    kConst,
    kName,
    kMember,  // kMember: an assignment target ns.name
    kTuple,
    kList,
    kDict,  // kDict: key, value, key, value ...
    kAttribute,
    kItem,
    kSlice,  // kSlice: subject, start, stop, step; the last three may be null
    kCall,
    kFilter,
    kTest,  // kFilter: a null subject is the block's text
    kNot,
    kNegate,
    kPlus,
    kAnd,
    kOr,
    kBinary,
    kConcat,
    kCompare,    // operands; `operators` stand between
    kCondition,  // test, then, else; else may be null
  };
  enum Comparison { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

  Kind kind;
  size_t offset = 0;
  size_t depth = 1;
  std::string name;
  Value constant;
  std::vector<ExprPtr> children;
  std::vector<CallArgument> arguments;
  std::vector<Comparison> operators;
  Op op = Op::kAdd;
  Function filter = nullptr;
  Test test = nullptr;
};

struct Stmt;
using Body = std::vector<std::unique_ptr<Stmt>>;

// A macro, or the body of a call block.
struct MacroDef {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<ExprPtr> defaults;  // of the last parameters
  Body body;
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct Stmt {
  enum Kind {
    kData,
    kPrint,
    kIf,
    kFor,
    kSet,
    kSetBlock,
    kWith,
    kMacro,
    kCallBlock,
    kFilterBlock,
    kGeneration,
    kBreak,
    kContinue,
  };
  Kind kind;
  size_t offset = 0;
  std::string data;
  ExprPtr target;
  ExprPtr value;  // printed, assigned, iterated, called; the filter of a block (may be null for kSetBlock)
  ExprPtr test;   // of a for
  Body body;
  Body otherwise;                                        // else
  std::vector<std::pair<ExprPtr, Body>> branches;        // if, elif
  std::vector<std::pair<ExprPtr, ExprPtr>> assignments;  // with
  std::unique_ptr<MacroDef> macro;
};

struct Program {
  Source source;
  std::string given;  // the source as it was given
  Body body;
  bool has_generation = false;
  bool reads_clock = false;
};

// Lexes and parses; Error with line and column.
std::shared_ptr<const Program> parse(std::string_view text, std::string where);

}  // namespace merit::text::jinja
