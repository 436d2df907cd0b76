;;; Drives Emacs with Eglot through what a user does with a .deploy file, and prints a line of JSON for each thing that was seen.
(require 'deploy-mode)
(require 'eglot)
(require 'json)
(setq eglot-sync-connect 60 eglot-connect-timeout 60 eglot-autoshutdown t eglot-events-buffer-size 0 make-backup-files nil create-lockfiles nil
      auto-save-default nil compilation-always-kill t compilation-ask-about-save nil)
;; In batch, nobody reads what inotify tells Emacs, and what processes print waits behind it.
(advice-add 'file-notify-add-watch :override #'ignore)

(defun seen (name what)
  (princ (concat (json-serialize (vector name what) :null-object nil :false-object :false) "\n")))

(defun wait-for (condition)
  (with-timeout (60 (error "waited for a minute"))
    (let (value)
      (while (not (setq value (funcall condition))) (accept-process-output nil 0.02))
      value)))

(defun find (text)
  (goto-char (point-min))
  (search-forward text)
  (goto-char (match-beginning 0)))

(defun rest () (buffer-substring-no-properties (point-min) (point-max)))

;; Colours: a letter for each character, as corpus.py compares them.
(defun letter (position)
  (let ((face (get-text-property position 'face)))
    (when (consp face) (setq face (car face)))
    (cond ((memq face '(font-lock-comment-face font-lock-comment-delimiter-face font-lock-doc-face font-lock-preprocessor-face)) ?c)
          ((eq face 'font-lock-string-face) ?s)
          ((eq face 'font-lock-keyword-face) ?w)
          ((eq face 'font-lock-constant-face) ?v)
          ((eq face 'deploy-number) ?n)
          (t ?.))))

(defun words-of (name) (split-string (getenv name) "\n" t))

(dolist (file (words-of "FILES"))
  (with-temp-buffer
    (insert-file-contents file)
    (deploy-mode)
    (font-lock-ensure)
    (let ((colours (make-string (- (point-max) 1) ?\n)))
      (goto-char (point-min))
      (while (not (eobp))
        (aset colours (- (point) 1) (letter (point)))
        (forward-char))
      (seen (concat "colours " file) colours))))

;; The face of each character.
(with-temp-buffer
  (insert-file-contents (car (words-of "FILES")))
  (deploy-mode)
  (font-lock-ensure)
  (let (faces)
    (dotimes (i (- (point-max) 1))
      (let ((face (get-text-property (+ i 1) 'face)))
        (push (symbol-name (if (consp face) (car face) face)) faces)))
    (seen "faces of characters" (vconcat (nreverse faces)))))

(dolist (file (words-of "INDENTED"))
  (with-temp-buffer
    (insert-file-contents file)
    (deploy-mode)
    (let ((inhibit-message t)) (indent-region (point-min) (point-max)))
    (seen (concat "indentation " file) (rest))))

(find-file (getenv "SPEC"))
(seen "mode" (symbol-name major-mode))
(seen "faces" (vconcat (mapcar (lambda (word)
                                 (font-lock-ensure)
                                 (find word)
                                 (let ((face (get-text-property (point) 'face))) (if face (symbol-name face) "")))
                               (words-of "WORDS"))))
(find "model    =")
(comment-region (line-beginning-position) (line-end-position))
(seen "comment" (buffer-substring-no-properties (line-beginning-position) (line-end-position)))
(uncomment-region (line-beginning-position) (line-end-position))
(set-buffer-modified-p nil)
(seen "index without a server" (vconcat (mapcar #'car (imenu--make-index-alist t))))

;; The language server.  What changed is sent when Emacs is idle, which it never is in batch.
(defun send () (eglot--signal-textDocument/didChange))
(apply #'eglot (eglot--guess-contact))
(seen "managed" (if (wait-for #'eglot-managed-p) t :false))
(defun diagnostics () (mapcar (lambda (d) (cons (flymake-diagnostic-beg d) (flymake-diagnostic-text d))) (flymake-diagnostics)))
(flymake-start)
(wait-for (lambda () (diagnostics)))
(seen "diagnostics" (vconcat (mapcar (lambda (d) (vector (line-number-at-pos (car d)) (cdr d))) (diagnostics))))

(find "Megatro {")
(let* ((actions (eglot-code-actions (point) (point) nil nil)))
  (seen "actions" (vconcat (mapcar (lambda (a) (plist-get a :title)) actions)))
  (eglot--apply-workspace-edit (plist-get (car (append actions nil)) :edit)))
(seen "after the action" (buffer-substring-no-properties (line-beginning-position) (line-end-position)))
(send)
(seen "no diagnostics" (if (wait-for (lambda () (not (diagnostics)))) t :false))

(find "tp = 4")
(let (hover)
  (eglot-hover-eldoc-function (lambda (text &rest _) (setq hover (substring-no-properties text))))
  (seen "hover" (or (wait-for (lambda () hover)) "")))

(find "require")
(let* ((capf (eglot-completion-at-point)) (table (nth 2 capf)))
  (seen "completion" (vconcat (mapcar #'substring-no-properties (all-completions "" table)))))

(seen "index" (vconcat (mapcar #'car (eglot-imenu))))

(find "Mine {")
(let ((eglot-confirm-server-initiated-edits nil)) (eglot-rename "Ours"))
(seen "rename" (rest))

(find "deploy Chat {")
(replace-match "deploy   Chat  {" t t)
(eglot-format-buffer)
(seen "formatting" (rest))

(find "Megatron {")
(end-of-line)
(newline-and-indent)
(insert "x")
(seen "indent" (buffer-substring-no-properties (line-beginning-position) (line-end-position)))
(delete-region (line-beginning-position 1) (line-beginning-position 2))

(deploy-run "plan")
(seen "plan" (with-current-buffer "*deployc*" (rest)))

;; `M-x compile' of another file.
(find-file (getenv "BROKEN"))
(let* (finished (compilation-finish-functions (list (lambda (&rest _) (setq finished t))))
       (buffer (compile compile-command)) (position 1) places)
  (wait-for (lambda () finished))
  (with-current-buffer buffer
    (compilation--ensure-parse (point-max))
    (while (setq position (next-single-property-change position 'compilation-message))
      (let* ((message (get-text-property position 'compilation-message)) (loc (and message (compilation--message->loc message))))
        (when loc
          (push (vector (compilation--message->type message) (file-name-nondirectory (caar (compilation--loc->file-struct loc)))
                        (compilation--loc->line loc) (compilation--loc->col loc))
                places)))))
  (seen "compile" (vconcat (reverse places))))
(set-buffer (get-file-buffer (getenv "SPEC")))
(set-buffer-modified-p nil)
(eglot-shutdown (eglot-current-server))
(seen "done" t)
