;;; deploy-mode.el --- Editing .deploy files, with the language server of deployc  -*- lexical-binding: t -*-

;; Version: 1.0
;; Package-Requires: ((emacs "28.1"))
;; Keywords: languages

;;; Commentary:

;; A major mode for .deploy files: colours, indentation, comments, an index.  `M-x eglot' starts the language server.
;; `M-x deploy-run' shows what a command such as `plan' prints about the buffer.  `M-x compile' checks the file.

;;; Code:

(defgroup deploy nil "Editing .deploy files." :group 'languages)
(defcustom deploy-command "deployc" "The compiler." :type 'string)
(defcustom deploy-indent 2 "Columns by which a body is indented." :type 'integer :safe #'integerp)
(defcustom deploy-settings nil
  "What the server gets when it starts: `(:define (:Chat.plan.tp 4))'."
  :type 'plist)

(defface deploy-number '((t :inherit font-lock-constant-face)) "Numbers with their units.")

;; Lists of words: editors/words.py --write.
(defconst deploy--words '("use" "return" "require" "assert" "prefer" "maximize" "minimize" "when" "else" "if" "then" "where" "in" "and" "or" "not" "mod" "divides" "per" "as" "from" "like" "within" "across"))
(defconst deploy--values '("true" "false" "none" "auto"))
(defconst deploy--kinds '("schema" "model" "plan" "deploy" "workload" "device" "calibration" "engine" "link" "cluster" "block" "op" "builtin" "serve" "share" "let" "param" "state" "input" "output" "repeat" "axis" "mesh" "at" "phase" "store" "level"))
(defconst deploy--formats '("f64" "f32" "bf16" "f16" "fp8_e4m3" "fp8_e5m2" "i8" "mxfp4" "nvfp4" "i32"))
(defconst deploy--types '("Int" "Float" "Bool" "String" "DType" "Any" "Ratio" "Range" "List" "Map" "Data" "Time" "Bandwidth" "Flop" "FlopRate" "Tokens" "TokenRate" "Params" "Money" "Price" "Power" "Energy" "Region" "enum" "any" "RequestRate" "TokenCost" "TokenEnergy"))
(defconst deploy--functions '("cast" "iota" "constant" "index" "sum" "mean" "max" "min" "clamp" "size" "alias" "sqrt" "log" "exp" "rsqrt" "tanh" "erf" "sin" "cos" "floor" "ceil" "abs" "product" "cycle" "steps" "count" "bytes" "time" "hidden" "p50" "p90" "p99" "silu" "sigmoid" "gelu" "gelu_tanh" "softcap" "softmax" "rms_norm" "layer_norm" "rope_freq" "llama3_scale" "yarn_scale" "embed" "pick" "rotate" "append" "attend" "route" "dispatch" "combine" "join" "sample" "cross_entropy"))
(defconst deploy--units '("ns" "us" "ms" "s" "min" "h" "day" "B" "bit" "kB" "kbit" "KiB" "MB" "Mbit" "MiB" "GB" "Gbit" "GiB" "TB" "Tbit" "TiB" "PB" "Pbit" "PiB" "FLOP" "FLOPS" "OPS" "W" "J" "Hz" "kFLOP" "kFLOPS" "kOPS" "kW" "kJ" "kHz" "MFLOP" "MFLOPS" "MOPS" "MW" "MJ" "MHz" "GFLOP" "GFLOPS" "GOPS" "GW" "GJ" "GHz" "TFLOP" "TFLOPS" "TOPS" "TW" "TJ" "THz" "PFLOP" "PFLOPS" "POPS" "PW" "PJ" "PHz" "EFLOP" "EFLOPS" "EOPS" "EW" "EJ" "EHz" "kWh" "token" "tokens" "ktokens" "Mtokens" "request" "requests" "sequence" "sequences" "param" "Mparam" "Gparam" "Tparam" "USD"))

(defconst deploy--kind (regexp-opt deploy--kinds 'symbols))
(defconst deploy--reserved (regexp-opt (append deploy--words deploy--values) 'symbols))
(defconst deploy--number
  (let ((unit (concat "\\(?:%\\|" (regexp-opt deploy--units t) "\\_>\\)\\(?:\\^[0-9]+\\)?")))
    (concat "\\_<\\([0-9][0-9_]*\\(?:\\.[0-9][0-9_]*\\)?\\(?:[eE][+-]?[0-9]+\\)?\\)"
            "\\( ?" unit "\\(?:[/*]" unit "\\)*\\)?")))

(defun deploy--next-kind (limit)
  "Find a word before LIMIT that opens an item: a kind, then a name.
The name is not a reserved word."
  (let (found)
    (while (and (not found) (re-search-forward deploy--kind limit t))
      (setq found (save-match-data
                    (and (looking-at "[ \t]+[A-Za-z_]")
                         (progn (skip-chars-forward " \t") (not (looking-at deploy--reserved)))))))
    found))

(defun deploy--next-number (limit)
  "Find a number before LIMIT, with its unit.
Of `5 GBs' and of `5 in' it is only the number."
  (when (re-search-forward "\\(?:\\`\\|[^A-Za-z0-9_]\\)\\([0-9]\\)" limit t)
    (goto-char (match-beginning 1))
    (looking-at deploy--number)
    (goto-char (match-end 0))))

(defconst deploy-font-lock
  `(("//.*\\(deploy: allow [EW][0-9]\\{4\\}\\)" 1 font-lock-preprocessor-face t)
    (deploy--next-number (1 'deploy-number) (2 'deploy-number nil t))
    (,(regexp-opt deploy--words 'symbols) . font-lock-keyword-face)
    (,(regexp-opt deploy--values 'symbols) . font-lock-constant-face)
    (,(regexp-opt (append deploy--formats deploy--types) 'symbols) . font-lock-type-face)
    (,(concat (regexp-opt deploy--functions 'symbols) "(") 1 font-lock-function-name-face)
    (deploy--next-kind . font-lock-builtin-face))
  "Colours of `deploy-mode'.")

(defvar deploy-mode-syntax-table
  (let ((table (make-syntax-table)))
    (modify-syntax-entry ?_ "_" table)
    (modify-syntax-entry ?/ ". 124" table)
    (modify-syntax-entry ?* ". 23b" table)
    (modify-syntax-entry ?\n ">" table)
    (modify-syntax-entry ?\" "\"" table)
    (modify-syntax-entry ?' "." table)
    table)
  "Comments, strings and names of `deploy-mode'.")

;;; Indentation, as `deployc fmt' indents.

(defun deploy--opener (position)
  "The innermost bracket that is open at POSITION, or nil."
  (nth 1 (save-excursion (syntax-ppss position))))

(defun deploy--item (opener)
  "Indentation of the item whose body OPENER opens.
For the body of `  b) {' it is that of `op f(a,'."
  (save-excursion
    (goto-char opener)
    (let ((outer (deploy--opener opener)) open)
      (while (progn (beginning-of-line)
                    (setq open (deploy--opener (point)))
                    (and open (not (equal open outer))))
        (goto-char open))
      (current-indentation))))

(defun deploy--indentation ()
  "The column where the line should start."
  (save-excursion
    (back-to-indentation)
    (let ((closes (looking-at "[])}]")) (open (deploy--opener (point))))
      (if (not open)
          0
        (goto-char open)
        (let ((body (and (eq (char-after) ?{)
                         (not (save-excursion (back-to-indentation) (looking-at "use\\_>"))))))
          (forward-char)
          (skip-chars-forward " \t")
          (cond (closes (if body (deploy--item open) (current-indentation)))
                (body (+ (deploy--item open) deploy-indent))
                ((or (eolp) (looking-at "//")) (+ (current-indentation) deploy-indent))
                (t (current-column))))))))

(defun deploy-indent-line ()
  "Indent the line as `deployc fmt' does."
  (interactive)
  (unless (nth 8 (save-excursion (syntax-ppss (line-beginning-position))))
    (let ((from-end (- (point-max) (point))))
      (indent-line-to (deploy--indentation))
      (when (> (- (point-max) from-end) (point))
        (goto-char (- (point-max) from-end))))))

;;; Commands.

(defun deploy-run (command)
  "Show what COMMAND of the compiler prints about the buffer."
  (interactive (list (completing-read "deployc " '("plan" "check" "graph" "search"))))
  (let ((out (get-buffer-create "*deployc*")))
    (with-current-buffer out (let ((inhibit-read-only t)) (erase-buffer)))
    (call-process-region nil nil deploy-command nil out nil command "-")
    (with-current-buffer out (special-mode) (goto-char (point-min)))
    (display-buffer out)))

(defun deploy-server (&optional _interactive)
  "How Eglot starts the language server."
  `(,deploy-command "lsp" :initializationOptions ,(or deploy-settings (make-hash-table))))

(defvar eglot-server-programs)
(with-eval-after-load 'eglot
  (add-to-list 'eglot-server-programs '(deploy-mode . deploy-server)))

;;;###autoload
(define-derived-mode deploy-mode prog-mode "Deploy"
  "Major mode for .deploy files."
  (setq-local comment-start "// " comment-end "" comment-start-skip "\\(?://+\\|/\\*+\\)[ \t]*")
  (setq-local indent-line-function #'deploy-indent-line indent-tabs-mode nil fill-column 120)
  (setq-local electric-indent-chars (append "})]" electric-indent-chars))
  (setq-local parse-sexp-ignore-comments t)
  (setq-local font-lock-defaults '(deploy-font-lock))
  (setq-local imenu-generic-expression
              `((nil ,(concat "^[ \t]*" (regexp-opt '("schema" "model" "plan" "deploy" "cluster" "block" "op" "workload" "device"))
                              "[ \t]+\\([A-Za-z_][A-Za-z0-9_]*\\)")
                     1)))
  (when buffer-file-name
    (setq-local compile-command (format "%s check -q --error-format=gcc %s" deploy-command
                                        (shell-quote-argument (file-name-nondirectory buffer-file-name))))))

;;;###autoload
(add-to-list 'auto-mode-alist '("\\.deploy\\'" . deploy-mode))

(provide 'deploy-mode)
;;; deploy-mode.el ends here
