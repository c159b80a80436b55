"""Reference data that every installation has: divisions of GB/T 2260, and a kind of fact for each field of rules.

The divisions are all of province level, the cities of the provinces where the demo lives, the cities of the national
compute hubs, and the districts of one city. An installation adds its own; installing never changes a row that exists.
"""

from collections.abc import Iterable
from typing import Any

from huoshui.registry.models import Division, FactType, ValueKind
from huoshui.rules.fields import FIELDS, Field

PROVINCES = """
11 北京市 12 天津市 13 河北省 14 山西省 15 内蒙古自治区 21 辽宁省 22 吉林省 23 黑龙江省 31 上海市 32 江苏省
33 浙江省 34 安徽省 35 福建省 36 江西省 37 山东省 41 河南省 42 湖北省 43 湖南省 44 广东省 45 广西壮族自治区
46 海南省 50 重庆市 51 四川省 52 贵州省 53 云南省 54 西藏自治区 61 陕西省 62 甘肃省 63 青海省 64 宁夏回族自治区
65 新疆维吾尔自治区 71 台湾省 81 香港特别行政区 82 澳门特别行政区
"""
CITIES = """
1301 石家庄市 1307 张家口市 1401 太原市 1402 大同市 1501 呼和浩特市 1502 包头市 1509 乌兰察布市 2101 沈阳市
2102 大连市 2201 长春市 2301 哈尔滨市 3201 南京市 3202 无锡市 3203 徐州市 3204 常州市 3205 苏州市 3206 南通市
3207 连云港市 3208 淮安市 3209 盐城市 3210 扬州市 3211 镇江市 3212 泰州市 3213 宿迁市 3301 杭州市 3302 宁波市
3303 温州市 3304 嘉兴市 3305 湖州市 3306 绍兴市 3307 金华市 3308 衢州市 3309 舟山市 3310 台州市 3311 丽水市
3401 合肥市 3402 芜湖市 3403 蚌埠市 3404 淮南市 3405 马鞍山市 3406 淮北市 3407 铜陵市 3408 安庆市 3410 黄山市
3411 滁州市 3412 阜阳市 3413 宿州市 3415 六安市 3416 亳州市 3417 池州市 3418 宣城市 3501 福州市 3502 厦门市
3601 南昌市 3701 济南市 3702 青岛市 4101 郑州市 4201 武汉市 4301 长沙市 4401 广州市 4403 深圳市 4404 珠海市
4406 佛山市 4413 惠州市 4419 东莞市 4420 中山市 4501 南宁市 4601 海口市 5101 成都市 5201 贵阳市 5203 遵义市
5301 昆明市 5401 拉萨市 6101 西安市 6201 兰州市 6210 庆阳市 6301 西宁市 6401 银川市 6405 中卫市 6501 乌鲁木齐市
"""
DISTRICTS = """
330102 上城区 330105 拱墅区 330106 西湖区 330108 滨江区 330109 萧山区 330110 余杭区 330111 富阳区 330112 临安区
330113 临平区 330114 钱塘区
"""
KINDS = {
    "integer": ValueKind.INTEGER, "decimal": ValueKind.DECIMAL, "text": ValueKind.TEXT, "date": ValueKind.DATE,
    "boolean": ValueKind.BOOLEAN,
}
"""The kind of a rule field → the kind of a fact."""


def _pairs(table: str) -> list[tuple[str, str]]:
    words = table.split()
    return [(code.ljust(6, "0"), name) for code, name in zip(words[::2], words[1::2], strict=True)]


def install(using: str = "default", **_kwargs: Any) -> None:
    """Add what is missing (called after each migration)."""
    parents = ((_pairs(PROVINCES), 0), (_pairs(CITIES), 2), (_pairs(DISTRICTS), 4))
    for rows, parent_digits in parents:
        Division.objects.using(using).bulk_create(
            (
                Division(code=code, name=name, parent_id=code[:parent_digits].ljust(6, "0") if parent_digits else None)
                for code, name in rows
            ),
            ignore_conflicts=True,
        )
    add_fact_types(FIELDS.values(), using)


def add_fact_types(fields: Iterable[Field], using: str = "default") -> None:
    """A kind of fact for each field that a party can have: not for those of a claim, and not for the division, which
    the registry itself keeps. What exists stays as it is."""
    FactType.objects.using(using).bulk_create(
        (
            FactType(
                code=field.code, title=field.title, unit=field.unit, kind=KINDS[field.kind], places=field.places,
                periodic=field.periodic,
            )
            for field in fields if not field.of_claim and field.code != "division"
        ),
        ignore_conflicts=True,
    )
