// A value or the Error that stands in its place: for failures that belong to one record and are counted, not thrown.
#pragma once

#include <utility>
#include <variant>

#include "merit/core/error.h"

namespace merit {

template <typename T>
class Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: conversion is the purpose
  Result(Error error) : state_(std::move(error)) {}  // NOLINT

  bool ok() const { return std::holds_alternative<T>(state_); }
  // The value; throws the error if there is none.
  const T& value() const& {
    if (!ok()) throw std::get<Error>(state_);
    return std::get<T>(state_);
  }
  T&& value() && {
    if (!ok()) throw std::get<Error>(state_);
    return std::move(std::get<T>(state_));
  }
  // Only if not ok().
  const Error& error() const { return std::get<Error>(state_); }

 private:
  std::variant<T, Error> state_;
};

}  // namespace merit
