"""Small logs of every text format, each record told from the others by one number."""

from collections.abc import Callable
from typing import NamedTuple

import polars as pl


class LogForm(NamedTuple):
    """How a log of a format looks.

    Attributes
    ----------
    input_format
        Name of the format.
    header
        Lines in front of the records, without line ends.
    record
        Returns the line of a record, by a number between 100 and 999 that ``key`` finds again, and perhaps by ``note``,
        a text in it, and ``value``, a number in it as it is written.
    key
        Expression of a record's number.
    """

    input_format: str
    header: tuple[str, ...]
    record: Callable[..., str]
    key: pl.Expr

    def text(self, lines: list[str]) -> bytes:
        """Return the log with these lines behind the header."""
        return "".join(f"{line}\n" for line in (*self.header, *lines)).encode()


ZEEK_HEADER = (
    "#separator \\x09",
    "#set_separator\t,",
    "#empty_field\t(empty)",
    "#unset_field\t-",
    "#path\tconn",
    "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\torig_bytes",
    "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tinterval\tcount",
)
ARGUS_HEADER = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,Label"
NFDUMP_HEADER = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt"
CICFLOWMETER_HEADER = (
    "Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Flow Duration,Total Fwd Packet,Flow IAT Mean,Label"
)
BETH_HEADER = (
    "timestamp,processId,threadId,parentProcessId,userId,mountNamespace,processName,eventId,argsNum,returnValue"
)

N_BAIOT_HEADER = (
    "MI_dir_L5_weight,MI_dir_L5_mean,H_L5_weight,H_L5_mean,HH_L5_weight,HH_jit_L5_weight,HpHp_L5_weight,"
    "HpHp_L5_mean,device"
)


def _eve(number: int, note: str = "x", value: str = "60") -> str:
    return (
        f'{{"timestamp":"2021-06-06T14:05:06.123456+0000","flow_id":{number},"event_type":"flow","src_ip":"10.0.0.1",'
        f'"src_port":40000,"dest_ip":"10.0.0.2","dest_port":53,"proto":"UDP","host":"{note}",'
        f'"flow":{{"bytes_toserver":{value},"pkts_toserver":1}}}}'
    )


def _zeek_json(number: int, note: str = "x", value: str = "60") -> str:
    return (
        f'{{"ts":1591452306.5,"uid":"C{note}","id.orig_h":"10.0.0.1","id.orig_p":{number},"id.resp_h":"10.0.0.2",'
        f'"id.resp_p":53,"proto":"udp","duration":0.5,"orig_bytes":{value}}}'
    )


FORMS = {
    "eve": LogForm("eve", (), _eve, pl.col("flow_id")),
    "ndjson": LogForm(
        "ndjson",
        (),
        lambda number, note="x", value="60": f'{{"number":{number},"note":"{note}","nested":{{"value":{value}}}}}',
        pl.col("number"),
    ),
    "zeek tsv": LogForm(
        "zeek",
        ZEEK_HEADER,
        lambda number, note="x", value="60": (
            f"1591452306.5\tC{note}\t10.0.0.1\t{number}\t10.0.0.2\t53\tudp\t0.5\t{value}"
        ),
        pl.col("id.orig_p"),
    ),
    "zeek json": LogForm("zeek", (), _zeek_json, pl.col("id.orig_p")),
    "nfdump": LogForm(
        "nfdump",
        (NFDUMP_HEADER,),
        lambda number, note="x", value="60": (
            f"2018-01-12 15:37:30,2018-01-12 15:37:31,1.25,10.0.0.{note},10.0.0.2,{number},53,UDP,......,0,0,1,{value},"
            "0,0"
        ),
        pl.col("sp"),
    ),
    "argus": LogForm(
        "argus",
        (ARGUS_HEADER,),
        lambda number, note="x", value="60": (
            f"2019/04/04 16:23:00.325010,0.5,udp,10.8.0.69,{number},  <->,8.8.8.8,53,CON,0,0,2,{value},63,{note}"
        ),
        pl.col("Sport"),
    ),
    "cicflowmeter": LogForm(
        "cicflowmeter",
        (CICFLOWMETER_HEADER,),
        lambda number, note="x", value="60": (
            f"10.0.0.1,{number},10.0.0.2,53,17,04/07/2017 12:30:00,500,{value},250.0,{note}"
        ),
        pl.col("Src Port"),
    ),
    "beth": LogForm(
        "beth",
        (BETH_HEADER,),
        lambda number, note="x", value="60": f"129.05,{number},{number},1,0,4026531840,{note},{value},3,-2",
        pl.col("processId"),
    ),
    "n_baiot": LogForm(
        "n_baiot",
        (N_BAIOT_HEADER,),
        lambda number, note="x", value="60": f"{number},{value},1.5,60.0,1.0,2.0,1.0,566.0,{note}",
        pl.col("MI_dir_L5_weight").cast(pl.Int64),
    ),
    "adfa": LogForm(
        "adfa",
        (),
        lambda number, note="6", value="60": f"{number} 6 63 6 42 {value} 6 195 {note} 3",
        pl.col("syscalls").str.extract(r"^(\d+)").cast(pl.Int64),
    ),
    "csv": LogForm(
        "csv",
        ("number,note,value",),
        lambda number, note="x", value="60": f"{number},{note},{value}",
        pl.col("number"),
    ),
}
"""Text formats, Zeek's two forms apart."""
