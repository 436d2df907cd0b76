/* What the page shows of training: the microbatches of a step over the stages, and what takes its time. */
#include "metrics_text.h"
#include "page_html.h"
#include "training_time.h"

enum { MAX_LANES = 16, MAX_DRAWN = 4096 /* entries of all stages */ };

/* ---- the pipeline ---------------------------------------------------------------------------- */

static void put_piece(const struct html *h, int stage, const struct pipeline_event *e, int64_t stages, double seconds)
{
	bool forward = e->program == STAGE_FORWARD;
	int64_t chunk = e->piece / stages;
	fprintf(h->out,
	        "<i class=\"%s\" data-stage=\"%d\" data-program=\"%s\" data-microbatch=\"%lld\" data-chunk=\"%lld\" "
	        "style=\"left:%.4f%%;width:%.4f%%\" title=\"%s %lld: %s\"></i>",
	        forward ? "k0" : "k1", stage, forward ? "forward" : "backward", (long long)e->microbatch, (long long)chunk,
	        100 * e->start / seconds, 100 * (e->end - e->start) / seconds, forward ? "forward" : "backward",
	        (long long)e->microbatch, metric_seconds(h->arena, e->end - e->start));
}

static void put_after(const struct html *h, const char *class, const char *title, double start, double took, double all)
{
	if (took > 0)
		fprintf(h->out, "<i class=\"%s\" data-after=\"%s\" style=\"left:%.4f%%;width:%.4f%%\" title=\"%s: %s\"></i>",
		        class, title, 100 * start / all, 100 * took / all, title, metric_seconds(h->arena, took));
}

static void put_lane(const struct html *h, int stage, const struct pipeline_event *events,
                     const struct training_time *t)
{
	const struct pipeline *p = &h->page->plan->training->pipeline;
	double after = t->microbatches, sync = t->stage_sync[stage];
	fprintf(h->out, "<span>stage %d</span><div class=\"lane\">", stage);
	for (int64_t i = 0; i < stage_entries(p); i++)
		put_piece(h, stage, &events[stage * stage_entries(p) + i], p->stages, t->seconds);
	put_after(h, "k2", "gradients over ranks", after, sync, t->seconds);
	put_after(h, "k3", "optimizer", after + sync, t->stage_optimizer[stage], t->seconds);
	put_after(h, "k4", "what the engine adds", t->seconds - t->fixed, t->fixed, t->seconds);
	fputs("</div>\n", h->out);
}

static void put_pipeline(const struct html *h, const struct training_time *t)
{
	const struct pipeline *p = &h->page->plan->training->pipeline;
	int lanes = p->stages < MAX_LANES ? (int)p->stages : MAX_LANES;
	if (lanes * stage_entries(p) > MAX_DRAWN) {
		fprintf(h->out,
		        "<p class=\"soft\">%lld microbatches are too many to be drawn; <code>deployc trace</code> writes "
		        "them.</p>\n",
		        (long long)p->microbatches);
		return;
	}
	const struct pipeline_event *events = pipeline_events(h->arena, p, &t->pieces);
	fputs("<div class=\"key\"><span><i class=\"k0\"></i>forward</span><span><i class=\"k1\"></i>backward</span>"
	      "<span><i class=\"k2\"></i>gradients over ranks</span><span><i class=\"k3\"></i>optimizer</span>",
	      h->out);
	fputs(t->fixed > 0 ? "<span><i class=\"k4\"></i>what the engine adds</span></div>\n" : "</div>\n", h->out);
	fputs("<div class=\"lanes\">\n", h->out);
	for (int stage = 0; stage < lanes; stage++)
		put_lane(h, stage, events, t);
	fputs("</div>\n", h->out);
	if (lanes < p->stages)
		fprintf(h->out, "<p class=\"soft\">The first %d of %lld stages.</p>\n", lanes, (long long)p->stages);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void put_parts(const struct html *h, const struct training_time *t)
{
	static const struct {
		const char *name, *title;
	} parts[] = {{"time/kernels", "kernels"},
	             {"time/communication", "communication that kernels wait for"},
	             {"time/host", "the host, which starts kernels"},
	             {"time/messages", "messages between stages"},
	             {"time/waiting", "waiting for other stages"},
	             {"time/gradients", "gradients over ranks"},
	             {"time/optimizer", "optimizer"},
	             {"time/engine", "what the engine adds"}};
	fprintf(h->out,
	        "<p></p>\n<table class=\"narrow\">\n<tr><th>what takes the time of stage %d</th><th "
	        "class=\"n\">time</th><th class=\"n\">share</th></tr>\n",
	        t->slowest);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		const char *path = arena_printf(h->arena, "plan/training/%s", parts[i].name);
		double seconds = html_number(h, path);
		if (!(seconds > 0))
			continue;
		fprintf(h->out, "<tr><td>%s</td><td class=\"n\">", parts[i].title);
		html_figure(h, AS_SECONDS, "%s", path);
		fprintf(h->out, "</td><td class=\"n\">%.1f%%</td></tr>\n", 100 * seconds / t->seconds);
	}
	fputs("</table>\n", h->out);
}

void html_training(const struct html *h)
{
	struct training_time t = training_time_of(h->page->plan->training, h->arena);
	if (t.lacks)
		return;
	fputs("<h2>A step: ", h->out);
	html_figure(h, AS_SECONDS, "plan/training/time/seconds");
	fputs("</h2>\n<p class=\"soft\">A microbatch takes ", h->out);
	html_figure(h, AS_SECONDS, "plan/training/time/forward");
	fputs(" forward and ", h->out);
	html_figure(h, AS_SECONDS, "plan/training/time/backward");
	fputs(" backward on stage ", h->out);
	html_figure(h, AS_WHOLE, "plan/training/time/slowest");
	if (html_number(h, "plan/training/time/mean/seconds") > 0) {
		fputs(". All this is of the longest sequences; a step of the mean length, ", h->out);
		html_figure(h, AS_WHOLE, "plan/training/time/mean/length");
		fputs(", takes ", h->out);
		html_figure(h, AS_SECONDS, "plan/training/time/mean/seconds");
	}
	fputs(".</p>\n", h->out);
	put_pipeline(h, &t);
	put_parts(h, &t);
}

/* ---- goals ----------------------------------------------------------------------------------- */

void html_goals(const struct html *h)
{
	const struct goal_list *goals = &h->page->plan->goals;
	if (!goals->n)
		return;
	fputs("<h2>What was promised</h2>\n<table class=\"notes\">\n", h->out);
	for (int i = 0; i < goals->n; i++) {
		enum goal_verdict v = goals->at[i].verdict;
		bool bad = v == GOAL_FALSE || v == GOAL_IMPOSSIBLE || v == GOAL_FAILS || v == GOAL_WRONG;
		fprintf(h->out, "<tr><td%s>%s</td><td>%s <code>", bad ? " class=\"error\"" : "", goal_verdict_name(v),
		        goals->at[i].required ? "require" : "assert");
		html_name(h, arena_printf(h->arena, "plan/goals/%d/text", i));
		fputs("</code></td></tr>\n", h->out);
	}
	fputs("</table>\n", h->out);
}
