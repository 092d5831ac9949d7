"""Functions of users as machine code: a typed program, made by `tvm_rank/functions`, becomes a procedure over scalars and views.

A program is nested tuples, so that it can be a part of a kind and of an attribute. Types:

    int (int64)   float (float64)   bool   char (a code point)   text (code points)   bytes   ints   floats   bools   texts (lists)

Expressions are (what, type, ...):

    ("const", t, value)                     float values as `float.hex()`
    ("var", t, name)                        a parameter or local
    ("convert", t, a)                       int -> float, bool -> int, char -> text
    ("binary", t, op, a, b)                 + - * / // % ** & | ^ << >>, operands of type t (/ and **: float)
    ("unary", t, op, a)                     - ~ not
    ("compare", "bool", op, a, b)           == != < <= > >=, operands of one type
    ("logic", "bool", op, a, b)             and, or: b is evaluated only if a does not decide
    ("choose", t, test, yes, no)
    ("call", t, function, a, ...)           see calls.py
    ("formula", "float", kind, op, a, ...)  an operation of `feature/formula.py`
    ("len", "int", a)   ("index", t, a, i)   ("slice", t, a, first or None, end or None)   ("contains", "bool", a, item)
    ("list", t, item, ...)   ("repeat", t, item, count)   ("concat", t, a, b)

Statements:

    ("assign", name, a)   ("unpack", names, (a, ...))   ("store", list, index, a)   ("append", list, a)
    ("if", test, then, else)   ("while", test, body)   ("break",)   ("continue",)   ("return", a or None)   ("fail",)
    ("for", counter, iterations, body)      iterations: ("range", start, stop, step), or ("each", (name, sequence), ...); counter: name
"""
