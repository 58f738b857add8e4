"""results.json as a page of tables and as plots."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

PROGRAMS = ("jaxce", "icet", "smol", "CASM")


def as_markdown(results):
    """All tables, the machine on top."""
    lines = ["# Benchmarks", "", ", ".join(f"{key} {value}" for key, value in results["machine"].items()), ""]
    if results["quick"]:
        lines += [
            "**A quick run: small cells and short cutoffs, to see that everything works. Not for comparison.**",
            "",
        ]
    lines += [
        "Rates are per CPU second of one core; the peers run one chain and evaluate one structure after the other.",
        "",
    ]
    for name, system in results["systems"].items():
        lines += system_section(name, system)
    for name, rows in results.get("scaling", {}).items():
        lines += ["", f"## jaxce by {name}", "", *table(rows)]
    return "\n".join([*lines, "", *(f"Not measured: {text}" for text in results["not measured"]), ""])


def system_section(name, system):
    kelvins = ", ".join(f"{regime} {kelvin:.0f} K" for regime, kelvin in system["temperatures"].items())
    errors = ", ".join(f"{peer} {error:.1g}" for peer, error in system["largest energy difference, eV"].items())
    return [
        f"## {name}: {system['sites']} sites",
        "",
        f"{system['description']}.",
        f"{system['functions']} functions, {system['clusters per prim']} clusters per prim. Temperatures: {kelvins}.",
        f"Largest difference of energies, eV per supercell: {errors or 'no peer'}.",
        "",
        *comparison(system),
        "",
        "Ways to find energy changes, swaps per second:",
        "",
        *methods(system),
        "",
    ]


def comparison(system):
    """Rows by quantity, columns by program, with ratios of jaxce to each peer."""
    rows = [*monte_carlo_rows(system), *evaluation_rows(system), *build_rows(system)]
    peers = [name for name in PROGRAMS[1:] if any(name in values for _, values in rows)]
    heads = ["", "jaxce", *(head for peer in peers for head in (peer, "ratio"))]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for label, values in rows:
        ours = values.get("jaxce")
        cells = [label, rounded(ours)]
        for peer in peers:
            theirs = values.get(peer)
            has_ratio = theirs and ours is not None and "accepted" not in label
            cells += [rounded(theirs), rounded(ours / theirs if has_ratio else None)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def monte_carlo_rows(system):
    """Swaps per second and accepted part; the rate of a peer's one chain stands beside all numbers of chains."""
    rows = []
    ours = [row for row in system["monte carlo"] if row.get("method") == "auto"]
    for row in ours:
        theirs = [r for r in system["monte carlo"] if "method" not in r and r["regime"] == row["regime"]]
        label = f"{row['regime']}, {row['chains']} chains"
        for quantity, text in (("swaps per second", "swaps/s"), ("accepted", "accepted")):
            rows.append((f"{text}, {label}", {r["program"]: r[quantity] for r in (row, *theirs)}))
        if row["regime"] == "hot":
            rows.append((f"first call, s, {row['chains']} chains", {"jaxce": row["first call, s"]}))
    return rows


def evaluation_rows(system):
    rows = []
    for row in system["evaluation"]:
        if row["program"] == "jaxce":
            theirs = [r for r in system["evaluation"] if "batch" not in r and r["quantity"] == row["quantity"]]
            label = f"{row['quantity']}, batch {row['batch']}"
            rows.append((f"{label}, 1/s", {r["program"]: r["per second"] for r in (row, *theirs)}))
            rows.append((f"{label}, first call, s", {"jaxce": row["first call, s"]}))
    return rows


def build_rows(system):
    stages = ("cluster space", "supercell")
    return [
        (f"{stage}, s", {program: seconds[stage] for program, seconds in system["build"].items()}) for stage in stages
    ]


def methods(system):
    rows = [row for row in system["monte carlo"] if "method" in row]
    chains = next(row["chains"] for row in rows if row["method"] == "fields")
    keys = ("regime", "chains", "method", "swaps per second", "accepted")
    return table([{key: row[key] for key in keys} for row in rows if row["chains"] == chains])


def table(rows):
    """One line for each row, one column for each number and for each word that differs."""
    words = ("program", "method", "regime")
    keys = [key for key in rows[0] if key not in words or len({row[key] for row in rows}) > 1]
    lines = ["| " + " | ".join(keys) + " |", "| --- " * len(keys) + "|"]
    return lines + ["| " + " | ".join(rounded(row[key]) for key in keys) + " |" for row in rows]


def rounded(value):
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def plot_all(results, folder):
    """swaps.png and, if it was measured, scaling.png."""
    if results["systems"]:
        plot_swaps(results["systems"], folder / "swaps.png")
    if "scaling" in results:
        plot_scaling(results["scaling"], folder / "scaling.png")


def plot_swaps(systems, path):
    """Swaps per second of each program, one panel for each regime."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    for axis, regime in zip(axes, ("hot", "cold"), strict=True):
        series = {}
        for place, system in enumerate(systems.values()):
            for row in system["monte carlo"]:
                if row["regime"] == regime and row.get("method", "auto") == "auto":
                    chains = f", {row['chains']} chains" if row["program"] == "jaxce" else ""
                    series.setdefault(row["program"] + chains, {})[place] = row["swaps per second"]
        width = 0.8 / len(series)
        for number, (label, rates) in enumerate(series.items()):
            axis.bar([place + number * width for place in rates], rates.values(), width, label=label)
        axis.set_xticks([place + 0.4 - width / 2 for place in range(len(systems))], systems)
        axis.set_yscale("log")
        axis.set_title(f"{regime}: about {'40 %' if regime == 'hot' else '2 %'} accepted")
    axes[0].set_ylabel("swaps per CPU second")
    axes[0].set_ylim(bottom=1e4)
    axes[1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=150)
    plt.close(figure)


def plot_scaling(scaling, path):
    """Time of a step against sites, clusters and chains."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    panels = (("sites", "sites"), ("clusters", "clusters touching a site"), ("chains", "chains"))
    for axis, (name, quantity) in zip(axes, panels, strict=True):
        rows = scaling[name]
        microseconds = [1e6 / row["swaps per second"] for row in rows]
        axis.plot([row[quantity] for row in rows], microseconds, "o-")
        axis.set_xscale("log")
        axis.set_xlabel(quantity)
        axis.set_ylabel("CPU time per swap, us")
        axis.set_ylim(0, 1.2 * max(microseconds))
    figure.savefig(path, dpi=150)
    plt.close(figure)
